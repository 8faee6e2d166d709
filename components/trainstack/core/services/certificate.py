"""The certificate of a service, looked at before a server is started with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainstack.core.services.record import ServiceSpec
from trainstack.errors import InvalidInputError
from trainstack.server.http.certificate import Certificate, CertificateError


def check_certificate(spec: ServiceSpec, absolute: Callable[[str], Path] = Path) -> None:
    """Refuse files that a server cannot speak TLS with.

    Args:
        spec: How the service is asked for.
        absolute: Makes a path absolute.

    Raises:
        InvalidInputError: One of them is not there, or not what it should be.
    """
    if spec.tls_certificate is None or spec.tls_key is None:
        return
    named = {"tls_certificate": spec.tls_certificate, "tls_key": spec.tls_key}
    paths = {field: absolute(path) for field, path in named.items()}
    for field, path in paths.items():
        if not path.is_file():
            raise InvalidInputError(f"web service {spec.name}: {field} {named[field]} is no file", field=field)
    try:
        Certificate(paths["tls_certificate"], paths["tls_key"])
    except CertificateError as exc:
        field = "tls_key" if exc.of_key else "tls_certificate"
        raise InvalidInputError(f"web service {spec.name}: {field} {exc}", field=field) from exc
