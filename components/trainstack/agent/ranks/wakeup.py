"""Wake the agent's loop when a child ends, a signal comes, or another thread posts a message."""

from __future__ import annotations

import contextlib
import queue
import select
import signal
import socket
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Wakeup:
    """Signals and messages from other threads, waited for in one place.

    Attributes:
        stop: The signal that asked the agent to stop, or 0.
    """

    def __init__(self) -> None:
        self.stop = 0
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def install(self) -> None:
        """Take over SIGCHLD and the signals that ask to stop. Only in the main thread."""
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._child_ended)
        for number in STOP_SIGNALS:
            signal.signal(number, self._stopped)

    def post(self, message: Any) -> None:
        """Post `message` to the loop, from any thread."""
        self._messages.put(message)
        with contextlib.suppress(BlockingIOError):  # full means that the loop is about to wake up anyway
            self._writing.send(b"\0")

    def wait(self, seconds: float) -> list[Any]:
        """Sleep until something happens, at most `seconds`; return the messages that have come."""
        if self._messages.empty():
            select.select([self._reading], [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            while self._reading.recv(4096):
                pass
        messages: list[Any] = []
        with contextlib.suppress(queue.Empty):
            while True:
                messages.append(self._messages.get_nowait())
        return messages

    def _child_ended(self, _number: int, _frame: FrameType | None) -> None:
        pass  # a handler must exist for the wake-up to be written

    def _stopped(self, number: int, _frame: FrameType | None) -> None:
        self.stop = self.stop or number
