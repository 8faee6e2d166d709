"""By which names a service may be asked, so that no web page uses one that asks for no key.

A page whose own name leads to this machine (DNS rebinding) sends that name as `Host`; any other page that sends a
request across sites says where it is from in `Origin`.
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from .errors import HttpError

_REMEMBERED = 256
# Names that nobody can register: of this machine, and of a cluster's services.
_OWN = ("localhost", "*.localhost", "*.svc", "*.svc.cluster.local")


class HostCheck:
    """Checks the headers `Host` and `Origin`.

    Args:
        allowed: Names besides addresses, names without a dot, and those of this machine and of a cluster's services:
            `models.example.com`, `*.example.com`, or `*` for any.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = (*_OWN, *(name.lower() for name in allowed))
        self._any = "*" in allowed
        self._remembered: set[bytes] = set()

    def check(self, host: bytes | None, origin: bytes | None) -> None:
        """Let a request in, or not.

        Args:
            host: The header `Host`, which every browser sends.
            origin: The header `Origin`.

        Raises:
            HttpError: It is asked by another name, or by a page of another site (403).
        """
        if host is not None and host not in self._remembered:
            self._check_name(host.decode("latin-1"))
            if len(self._remembered) < _REMEMBERED:
                self._remembered.add(host)
        if origin is not None and not self._any:
            self._check_origin(origin.decode("latin-1"), "" if host is None else host.decode("latin-1"))

    def _check_name(self, host: str) -> None:
        if not self._is_allowed(host):
            raise HttpError(f"this service does not answer to the name {host}: name it in allowed_hosts", 403)

    def _check_origin(self, origin: str, host: str) -> None:
        authority = urlsplit(origin).netloc
        name = _name(authority)
        if authority != host and not (name and _matches(name, self._allowed[len(_OWN) :])):
            raise HttpError(f"this service answers no page of {origin}: name it in cors_origins", 403)

    def _is_allowed(self, host: str) -> bool:
        name = _name(host)
        return self._any or _is_address(name) or (bool(name) and "." not in name) or _matches(name, self._allowed)


def _name(authority: str) -> str:
    """The name of `NAME:PORT`, in lower case; empty where it is none."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
