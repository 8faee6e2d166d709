"""Settings of this machine that an image build needs: package index, proxies, certificates.

All of it may hold passwords, so it goes into the build as one secret, a script for the shell, and into no layer.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from trainstack.core.environments.package_index import index_variables, uv_settings_file
from trainstack.errors import TrainstackError

# BuildKit takes no larger secret.
LIMIT_BYTES = 500_000
_PASSED = ("UV_INDEX", "UV_EXTRA_INDEX", "UV_DEFAULT_INDEX", "UV_HTTP_TIMEOUT", "UV_INSECURE_HOST", "UV_OFFLINE")
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def variables() -> dict[str, str]:
    """The variables of index and proxies that hold on this machine, pip's settings in uv's words and back."""
    settings = {
        name: value
        for name, value in os.environ.items()
        if value and (name.startswith(_PASSED) or name in _PIP or name.upper() in _PROXIES)
    }
    settings |= index_variables()
    index = settings.get("UV_DEFAULT_INDEX") or settings.get("UV_INDEX_URL")
    if index:
        # A named index is written NAME=ADDRESS, which pip does not know.
        name, mark, address = index.partition("=")
        settings.setdefault("PIP_INDEX_URL", address if mark and "/" not in name else index)
    return settings


def script() -> bytes:
    """The settings as a script that a RUN line reads; empty where this machine has none.

    Raises:
        TrainstackError: Certificates and the rest are larger than a secret may be.
    """
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables().items())]
    for name, path, names in _files():
        lines += [
            f"cat >/run/settings/{name} <<'END_OF_FILE'",
            path.read_text("utf-8", errors="replace").rstrip("\n"),
            "END_OF_FILE",
            *(f"export {variable}=/run/settings/{name}" for variable in names),
        ]
    text = "".join(f"{line}\n" for line in lines).encode()
    if len(text) > LIMIT_BYTES:
        raise TrainstackError(
            f"the settings of package index and certificates come to {len(text):,} bytes, and a build secret holds at "
            f"most {LIMIT_BYTES:,}: let SSL_CERT_FILE name a file with only the certificates that the index needs"
        )
    return text


def uses_loopback() -> bool:
    """Whether the index or a proxy is on this very machine, which a build's own network does not reach."""
    return any(_is_loopback(value) for name, value in variables().items() if "URL" in name or "INDEX" in name) or any(
        _is_loopback(value) for name, value in variables().items() if name.upper() in _PROXIES[:3]
    )


def _files() -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Files whose content the build needs: their name there, where they are, and the variables that name them."""
    for variable in _CERTIFICATES:
        if (path := _readable_file(os.environ.get(variable))) is not None:
            yield "certificates", path, _CERTIFICATES
            break
    if (path := _readable_file(os.environ.get("NETRC")) or _readable_file(str(Path.home() / ".netrc"))) is not None:
        yield "netrc", path, ("NETRC",)
    if (path := uv_settings_file()) is not None:
        yield "uv.toml", path, ("UV_CONFIG_FILE",)


def _readable_file(name: str | None) -> Path | None:
    return Path(name) if name and os.access(name, os.R_OK) and Path(name).is_file() else None


def _is_loopback(value: str) -> bool:
    for word in value.split():
        host = urlsplit(word.rpartition("=")[2] if "://" in word else f"//{word}").hostname or ""
        if host == "localhost":
            return True
        try:
            if ipaddress.ip_address(host).is_loopback:
                return True
        except ValueError:
            continue
    return False
