"""Workers: forked from one process, replaced when they die, ended with it."""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import MutableSequence
from pathlib import Path
from typing import Any

from ..http.certificate import Certificate
from ..http.listening import PortTakenError, listen, stop_listening
from ..settings import Settings
from .worker import LEAVING, Worker

_log = logging.getLogger("trainstack.server")
_PR_SET_PDEATHSIG = 1
_CANNOT_LOAD = 3
# Connections that a worker is said to have while it has none to give way for: it is not there.
_ABSENT = 2**30
_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
# Deaths within so many seconds count together.
_WINDOW_SECONDS = 60.0


class Supervisor:
    """Keeps a number of workers alive.

    Args:
        settings: The server's settings.
        state: The folder in which supervisor and workers leave each other word.
        listener: The listening socket, which all workers share.
        scraped: The socket at which the first of them answers with metrics alone; None for none.
        certificate: What they speak TLS with; None for plain HTTP.

    Attributes:
        handed_over: Whether another server has the listening socket too, so that it must not be shut.
    """

    def __init__(
        self,
        settings: Settings,
        state: Path,
        listener: socket.socket,
        scraped: socket.socket | None,
        certificate: Certificate | None,
    ) -> None:
        self._settings = settings
        self._state = state
        self._listener = listener
        self._scraped = scraped
        self._certificate = certificate
        shared: Any = memoryview(mmap.mmap(-1, 8 * settings.workers)).cast("q")
        self._counts: MutableSequence[int] = shared
        self._workers: dict[int, int] = {}
        self._stopping = False
        self._leaves: float | None = None
        self.handed_over = False

    def run(self) -> int:
        """Supervise until SIGTERM.

        Returns:
            The exit code: 1 when a worker could not load the model.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for index in range(self._settings.workers):
            self._start(index)
        code = 0
        deaths: list[deque[float]] = [deque() for _ in range(self._settings.workers)]
        due: dict[int, float] = {}
        while not self._stopping:
            time.sleep(_PAUSE)
            if self._leaves is not None and time.monotonic() >= self._leaves:
                break
            for index, status in self._dead():
                if os.waitstatus_to_exitcode(status) == _CANNOT_LOAD:
                    code, self._stopping = 1, True
                    break
                due[index] = time.monotonic() + pause_before_restart(deaths[index], time.monotonic())
                _log.error("worker %d died (%s); a new one is started", index, _exit_text(status))
            for index in [index for index, at in due.items() if at <= time.monotonic()]:
                del due[index]
                self._start(index)
        self._end()
        return code

    def _stop(self, *_: object) -> None:
        """End, after `linger` seconds where they are set. A second signal ends at once."""
        if self._leaves is None and self._settings.linger and not self.handed_over:
            self._leaves = time.monotonic() + self._settings.linger
            (self._state / LEAVING).touch()
        else:
            self._stopping = True

    def _start(self, index: int) -> None:
        self._counts[index] = _ABSENT
        supervisor = os.getpid()
        pid = os.fork()
        if pid:
            self._workers[index] = pid
            return
        code = 1
        try:
            code = self._work(index, supervisor)
        finally:
            os._exit(code)

    def _work(self, index: int, supervisor: int) -> int:
        """Be a worker, in the process that was forked for it."""
        # The supervisor's handlers came along; until the worker sets its own, end at once.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _die_with(supervisor)
        try:
            try:
                scraped = None if index else self._scraped
                worker = Worker(
                    self._settings, self._state, self._listener, scraped, self._counts, index, self._certificate
                )
                listen(self._listener)
            except (PortTakenError, ValueError, OSError) as exc:
                _log.error("%s", exc)
                return _CANNOT_LOAD
            worker.run()
        except BaseException:  # noqa: BLE001 (nothing may leave the forked process but its code)
            _log.exception("a worker failed")
            return 1
        return 0

    def _dead(self) -> list[tuple[int, int]]:
        """Workers that are gone since, and how they went."""
        exited: list[tuple[int, int]] = []
        for index, pid in list(self._workers.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._workers[index]
                self._counts[index] = _ABSENT
                exited.append((index, status))
        return exited

    def _end(self) -> None:
        """Take no more connections; let workers answer what is under way, and end those that cannot."""
        if self.handed_over:
            self._listener.close()
        else:
            stop_listening(self._listener)
        self._signal(signal.SIGTERM)
        end = time.monotonic() + self._settings.drain + 1
        while self._workers and time.monotonic() < end:
            self._dead()
            time.sleep(0.01)
        self._signal(signal.SIGKILL)
        while self._workers:
            self._dead()
            time.sleep(0.01)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._workers.values():
            os.kill(pid, number)


def pause_before_restart(deaths: deque[float], now: float) -> float:
    """Note that a worker has died, and say when it is replaced.

    The first is replaced at once; one that dies again and again must not take the machine along. Those that died long
    ago count no more, or a server that runs for months would slow down for good.

    Args:
        deaths: When it died before; this death is added, old ones are dropped.
        now: Seconds of the same clock.

    Returns:
        Seconds to wait.
    """
    deaths.append(now)
    while now - deaths[0] > _WINDOW_SECONDS:
        deaths.popleft()
    return min(0.1 * 2 ** (len(deaths) - 2), _LONGEST_PAUSE) if len(deaths) > 1 else 0.0


def _die_with(supervisor: int) -> None:
    """A supervisor that is killed takes its workers along (on Linux; elsewhere `stop` ends the session)."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(1)


def _exit_text(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"code {code}" if code >= 0 else f"signal {-code}"
