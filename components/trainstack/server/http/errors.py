"""The errors of the model server.

```
Exception
├── HttpError             a request is answered with an error, in TensorFlow Serving's form
├── PortTakenError        somebody else listens on the port: the server does not start
└── ValueError            a plan, model or setting is not usable: the server does not start, or keeps what it has
    └── CertificateError  a certificate or its key is not usable
```
"""

from __future__ import annotations

from collections.abc import Mapping


class HttpError(Exception):
    """What the client is told, and with which HTTP status. Its text never holds a stack trace.

    The statuses are those that TensorFlow Serving gives to the canonical codes: 400 for INVALID_ARGUMENT,
    404 for NOT_FOUND, 501 for UNIMPLEMENTED, 500 for INTERNAL.

    Attributes:
        status: The HTTP status.
        retry_after: Seconds after which the client may try again, where that helps.
        allow: The methods that the path takes, where the request's is none of them.
        headers: What else is said to a browser.
    """

    def __init__(self, message: str, status: int = 400, *, retry_after: int | None = None, allow: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.allow = allow
        self.headers: Mapping[str, str | int] = {}
