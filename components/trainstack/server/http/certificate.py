"""The certificate that a server speaks TLS with: refused early when it is none, read again when it is renewed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

_log = logging.getLogger("trainstack.server")
_KEY = "private key"


class CertificateError(ValueError):
    """A file that is no certificate, or no key that fits it.

    Args:
        path: The file.
        reason: What is wrong with it.
        of_key: Whether it is the key that is wrong, not the certificate.
    """

    def __init__(self, path: Path, reason: str, *, of_key: bool) -> None:
        super().__init__(f"{path} {reason}")
        self.of_key = of_key


class Certificate:
    """A certificate chain and its private key, as PEM files.

    Args:
        chain: The file with the chain.
        key: The file with the key.

    Attributes:
        context: What connections are made with from now on; TLS 1.2 and newer.

    Raises:
        CertificateError: They are not what they should be.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._seen = self._changed()
        self.context = _context(chain, key)

    def refresh(self) -> None:
        """Read the files again where they have changed; what cannot be used is not."""
        stamps = self._changed()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self.context = _context(self._chain, self._key)
        except CertificateError as exc:
            _log.error("%s; going on with the certificate before", exc)
            return
        _log.info("the certificate was renewed")

    def _changed(self) -> list[tuple[int, int] | None]:
        stamps: list[tuple[int, int] | None] = []
        for path in (self._chain, self._key):
            try:
                status = path.stat()
                stamps.append((status.st_mtime_ns, status.st_ino))
            except OSError:
                stamps.append(None)
        return stamps


def _context(chain: Path, key: Path) -> ssl.SSLContext:
    for path, mark, kind in ((chain, b"CERTIFICATE-----", "certificate"), (key, b"PRIVATE KEY-----", _KEY)):
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise CertificateError(path, f"cannot be read: {exc.strerror}", of_key=kind == _KEY) from exc
        if mark not in content:
            raise CertificateError(path, f"holds no {kind} in PEM form", of_key=kind == _KEY)

    def no_password() -> str:
        # Else OpenSSL would ask whoever sits at the terminal.
        raise CertificateError(
            key, "is encrypted: a server that starts by itself needs a key without a password", of_key=True
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(chain, key, password=no_password)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(key, f"is not the private key of the certificate in {chain}", of_key=True) from exc
        raise CertificateError(chain, f"and {key} are damaged: {exc.reason or exc}", of_key=False) from exc
    return context
