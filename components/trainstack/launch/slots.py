"""The places of an elastic run on one machine: which are there, which rest after a failure.

Horovod's driver gives up a host for good when a worker on it fails, so each slot is a host of its own to it, and a
slot that comes back after a failure comes back under a new name.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FIRST_REST_SECONDS = 10.0
MOST_FAILURES = 5
"""A slot that has failed so often is not used again."""
SLOTS_FILE = "slots"


@dataclass
class _Slot:
    failures: int = 0
    rests_until: float = 0.0
    name: str = ""


class Slots:
    """Horovod's host discovery, asked once a second by its driver.

    A file `slots` in the reports folder, when there is one, says how many slots may be used now.
    """

    def __init__(self, count: int, reports: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Offer `count` slots, or fewer where the file in `reports` says so."""
        self._file = reports / SLOTS_FILE
        self._clock = clock
        self._lock = threading.Lock()
        self._slots = [_Slot(name=f"slot-{number}") for number in range(count)]

    def find_available_hosts_and_slots(self) -> dict[str, int]:
        """Return the slots that can be used now, each as a host with one place. Horovod's name for it."""
        with self._lock:
            allowed = self._slots[: self._allowed()]
            for slot in allowed:
                if slot.rests_until and slot.rests_until <= self._clock() and slot.failures < MOST_FAILURES:
                    slot.rests_until = 0.0
                    slot.name = f"{slot.name.partition('.')[0]}.{slot.failures}"
            return {slot.name: 1 for slot in allowed}

    def failed(self, name: str) -> float | None:
        """Let a slot rest because its worker has failed, twice as long each time.

        Returns:
            For how many seconds; None when it is not used again.
        """
        with self._lock:
            slot = self._slots[number_of(name)]
            if slot.name != name:
                return None
            rest = FIRST_REST_SECONDS * 2**slot.failures
            slot.failures += 1
            slot.rests_until = self._clock() + rest
            return rest if slot.failures < MOST_FAILURES else None

    @property
    def usable(self) -> int:
        """Number of slots that are used, or will be again."""
        with self._lock:
            return sum(slot.failures < MOST_FAILURES for slot in self._slots)

    def _allowed(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return max(0, int(self._file.read_text()))
        return len(self._slots)


def number_of(name: str) -> int:
    """Return the number of the slot that Horovod knows as host `name`."""
    return int(name.partition(".")[0].rpartition("-")[2])
