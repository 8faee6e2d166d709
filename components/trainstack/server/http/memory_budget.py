"""The bytes of requests that a worker holds at once, over all of its connections."""

from __future__ import annotations

from .errors import HttpError
from .messages import Request


class MemoryBudget:
    """Counts bytes of requests from when they come until they are answered.

    Args:
        limit: The most bytes at once.

    Attributes:
        held: Bytes that are held now.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, request: Request, size: int) -> None:
        """Count bytes more of a request.

        Raises:
            HttpError: All requests together have too many (429).
        """
        if self.held + size > self._limit:
            raise HttpError(
                "the service holds as many bytes of requests as it may: try again later", 429, retry_after=1
            )
        self.held += size
        request.held += size

    def release(self, request: Request) -> None:
        """Forget a request's bytes; once more does nothing."""
        self.held -= request.held
        request.held = 0
