"""When a request is repeated: for a while, with growing pauses of random length."""

from __future__ import annotations

import random
import time

from trainstack.storage.object_store.errors import is_transient

_SHORTEST, _LONGEST = 0.1, 5.0


class Retry:
    """The repetitions of one request.

    Attributes:
        count: How often it was repeated.
    """

    def __init__(self, patience: float) -> None:
        """Begin.

        Args:
            patience: Seconds after which a request that still fails is given up.
        """
        self.count = 0
        self._patience = patience
        self._deadline = time.monotonic() + patience

    def again(self, error: Exception) -> bool:
        """Pause and return true when the request may succeed now; return false at once when it is to be given up."""
        if not is_transient(error) or time.monotonic() >= self._deadline:
            return False
        longest = min(_LONGEST, _SHORTEST * 2**self.count)
        time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 (no secret)
        self.count += 1
        return True

    def reset(self) -> None:
        """Begin anew, after a part of what was asked for has come."""
        self.count = 0
        self._deadline = time.monotonic() + self._patience
