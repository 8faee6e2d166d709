"""How many bytes a workspace may hold, checked before something new is written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from trainstack.errors import TrainstackError


class Quota:
    """A limit, and what is used of it: measured now and then, with what was granted since."""

    def __init__(self, place: str, limit: int, measure: Callable[[], int], *, again_after: float) -> None:
        """Limit a place.

        Args:
            place: Its folder or address, for the message.
            limit: How many bytes it may hold.
            measure: Returns how many it holds.
            again_after: Seconds after which it is measured again: measuring takes a while with many files.
        """
        self._place, self._limit, self._measure, self._again_after = place, limit, measure, again_after
        self._used = 0
        self._measured = float("-inf")
        self._lock = threading.Lock()

    def require(self, size: int, label: str) -> None:
        """Check that `size` more bytes are allowed; they count as used from then on.

        Args:
            size: How many bytes.
            label: What they are, for the message.

        Raises:
            TrainstackError: They exceed the quota.
        """
        with self._lock:
            if time.monotonic() - self._measured > self._again_after:
                self._used = self._measure()
                self._measured = time.monotonic()
            if self._used + size > self._limit:
                raise TrainstackError(
                    f"quota: {label} needs {size:,} bytes, {self._place} holds {self._used:,} of the {self._limit:,} "
                    "that quota_gib allows: free some (`trainstack gc` says what can go) or raise it, and run again"
                )
            self._used += size
