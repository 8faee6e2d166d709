"""What a supervisor watches besides its nodes: that somebody wants the run ended, and that somebody still looks on."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import FrameType

from trainstack.core.runs.reserve import STOP

TICK = 0.05
# How long nobody may look on before `on_disconnect: stop` ends the run; followers show themselves every second.
DISCONNECT_SECONDS = 10.0


class Stopped(Exception):
    """Somebody asked for the end of the run."""


class Watch:
    """Signals, the stop file, the followers' file. Only the monotonic clock counts: wall clocks jump."""

    def __init__(self, root: Path, *, stop_when_alone: bool = False) -> None:
        self._root = root
        self._stop_when_alone = stop_when_alone
        self._reason = ""
        self._touched: int | None = None
        self._touched_at = time.monotonic()

    def request_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler: end the run, with a checkpoint where the script makes one."""
        self._reason = self._reason or "stopped by a signal"

    def stopped(self) -> bool:
        """Whether the run is to end."""
        if not self._reason and (self._root / STOP).exists():
            self._reason = (self._root / STOP).read_text(encoding="utf-8").strip() or "stopped"
        if not self._reason and self._stop_when_alone and self._alone() > DISCONNECT_SECONDS:
            self._reason = f"nobody followed it for {DISCONNECT_SECONDS:g} s, and on_disconnect is stop"
        return bool(self._reason)

    def check(self) -> None:
        """Raise when the run is to end.

        Raises:
            Stopped: It is; says why.
        """
        if self.stopped():
            raise Stopped(self._reason)

    def pause(self, seconds: float) -> None:
        """Wait, watching.

        Raises:
            Stopped: The run is to end.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            time.sleep(TICK)

    def _alone(self) -> float:
        """Seconds since a follower last touched its file: that it changes counts, not the time that it bears."""
        touched = None
        with contextlib.suppress(OSError):
            touched = (self._root / "followed").stat().st_mtime_ns
        if touched != self._touched:
            self._touched, self._touched_at = touched, time.monotonic()
        return time.monotonic() - self._touched_at
