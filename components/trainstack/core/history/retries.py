"""Entries that failed: each is tried again a few times, later and later, while the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable

_DELAYS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try."""


class Retries:
    """How often entries failed, and when each is due.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def waits(self, name: str) -> bool:
        """Return whether an entry is not due yet."""
        return self._clock() < self._due.get(name, 0.0)

    def later(self, name: str) -> bool:
        """Note a failure; return whether there is another try."""
        failures = self._failures.get(name, 0)
        if failures == len(_DELAYS):
            self.forget(name)
            return False
        self._failures[name] = failures + 1
        self._due[name] = self._clock() + _DELAYS[failures]
        return True

    def forget(self, name: str) -> None:
        """Forget an entry's failures."""
        self._failures.pop(name, None)
        self._due.pop(name, None)
