"""The slots of an elastic run on one machine: which are usable, and which rest after a failure.

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
    number: int
    failures: int = 0
    workers_lost: int = 0
    rests_until: float = 0.0
    name: str = ""


class Slots:
    """Horovod's host discovery, which its driver calls once a second.

    A file `slots` in the reports folder, when there is one, says how many slots may be used now.
    """

    def __init__(self, count: int, reports: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Offer `count` slots, or fewer where the file in `reports` says so."""
        self._file = reports / SLOTS_FILE
        self._clock = clock
        self._lock = threading.Lock()
        self._slots = [_Slot(number, name=f"slot-{number}") for number in range(count)]

    def find_available_hosts_and_slots(self) -> dict[str, int]:
        """Return the slots that can be used now, each as a host with one slot. Horovod names this method."""
        with self._lock:
            allowed = self._slots[: self._allowed()]
            for slot in allowed:
                # Until then it keeps the name that the driver does not use any more.
                if slot.rests_until <= self._clock() and slot.failures < MOST_FAILURES and slot.workers_lost:
                    slot.name = f"slot-{slot.number}.{slot.workers_lost}"
            return {slot.name: 1 for slot in allowed}

    def worker_lost(self, name: str) -> str:
        """Let a slot rest because its worker has failed, twice as long each time.

        Horovod makes a worker fail too when its slot was taken away: that does not count.

        Returns:
            What happens to the slot, as a phrase.
        """
        with self._lock:
            slot = self._slots[number_of(name)]
            slot.workers_lost += 1
            if slot.number >= self._allowed():
                return "its slot was taken away"
            rest = FIRST_REST_SECONDS * 2**slot.failures
            slot.failures += 1
            slot.rests_until = self._clock() + rest
            return f"its slot is free again in {rest:g} s" if slot.failures < MOST_FAILURES else "its slot is given up"

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
