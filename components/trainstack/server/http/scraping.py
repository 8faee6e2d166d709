"""What a worker answers at the port for metrics: those and nothing else, to whoever is let near it, without a key."""

from __future__ import annotations

from .connection import Answer, Request
from .errors import Refusal
from .router import Front


class Scraping:
    """The application of the metrics' own port.

    Args:
        front: What knows the metrics.
    """

    def __init__(self, front: Front) -> None:
        self._front = front

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        return self._front.scraped(request)

    def refuse(self, refusal: Refusal) -> Answer:
        """The answer to what is no request."""
        return self._front.refuse(refusal)
