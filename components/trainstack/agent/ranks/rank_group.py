"""The ranks of one node as processes: start them, notice when they end, end them all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..reporting.logs import MergedOutput, RankOutput
from ..reporting.report import Failure, RankReport
from .orphans import end_descendants, group_lives, signal_group
from .tasks import Task

_PDEATHSIG_EXEC = Path(__file__).with_name("pdeathsig_exec.py")


class Rank:
    """One process, in a session and process group of its own."""

    def __init__(
        self, task: Task, command: Sequence[str], variables: Mapping[str, str], folder: str, output: RankOutput
    ) -> None:
        """Start `command`. Call it from a thread that lives as long as the agent: the rank dies with that thread.

        Args:
            task: What the process is.
            command: Program and arguments.
            variables: Its whole environment.
            folder: Its working folder.
            output: Takes its output.

        Raises:
            OSError: It cannot be started.
        """
        self.task = task
        self.output = output
        self._group_gone = False
        reading, writing = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PDEATHSIG_EXEC), str(os.getpid()), *command],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        output.follow(reading)
        self.report = RankReport(task.rank, task.role, task.index, self.process.pid, time.time())

    @property
    def alive(self) -> bool:
        """Whether the process has not ended, as far as is known."""
        return self.report.ended is None

    def reap(self) -> bool:
        """Return whether the process has ended since the last call, and record how."""
        if not self.alive or (code := self.process.poll()) is None:
            return False
        self.report.ended = time.time()
        self.report.exit_code = code if code >= 0 else None
        self.report.signal = -code if code < 0 else None
        return True

    def lingers(self) -> bool:
        """Return whether the process, or another in its group, is still there."""
        # Never check again once it is gone: the kernel may have reused the number.
        self._group_gone = self._group_gone or (not self.alive and not group_lives(self.process.pid))
        return not self._group_gone

    def signal(self, number: int) -> None:
        """Send a signal to the process and the others in its group, if there are any left."""
        if self.lingers():
            self.report.stopped = self.report.stopped or self.alive
            signal_group(self.process.pid, number)

    def failure(self) -> Failure:
        """Describe its end as the failure of the run."""
        self.output.finish(0.5)  # what it printed last may still be on the way
        report = self.report
        return Failure(
            node=self.task.node,
            reason=f"{self.name} {self._end()}",
            at=report.ended or time.time(),
            rank=report.rank,
            exit_code=report.exit_code,
            signal=report.signal,
            tail=self.output.tail,
        )

    @property
    def name(self) -> str:
        """Its name in messages."""
        rank = f"rank {self.task.rank}"
        return rank if self.task.role == "rank" else f"{rank} ({self.task.role} {self.task.index})"

    def _end(self) -> str:
        if self.report.signal is None:
            return f"exited with code {self.report.exit_code}"
        try:
            return f"was ended by {signal.Signals(self.report.signal).name}"
        except ValueError:
            return f"was ended by signal {self.report.signal}"


class RankGroup:
    """The ranks of this node."""

    def __init__(self, merged: MergedOutput) -> None:
        """Write the ranks' output to `merged`."""
        self.ranks: list[Rank] = []
        self._merged = merged

    def start(self, task: Task, command: Sequence[str], variables: Mapping[str, str], folder: str) -> Rank:
        """Start one rank.

        Raises:
            OSError: It cannot be started.
        """
        rank = Rank(task, command, variables, folder, RankOutput(task.rank, self._merged))
        self.ranks.append(rank)
        return rank

    def reap(self) -> list[Rank]:
        """Return the ranks that have ended since the last call."""
        return [rank for rank in self.ranks if rank.reap()]

    @property
    def alive(self) -> bool:
        """Whether any rank has not ended."""
        return any(rank.alive for rank in self.ranks)

    def lingers(self) -> bool:
        """Return whether a rank, or a process in a rank's group, is still there."""
        return any(rank.lingers() for rank in self.ranks)

    def terminate(self) -> None:
        """Ask every rank, and what it has started, to end."""
        for rank in self.ranks:
            rank.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End every rank and all of their descendants, and collect the last of their output."""
        for rank in self.ranks:
            rank.signal(signal.SIGKILL)
        deadline = time.monotonic() + 2.0
        while self.alive and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.005)
        end_descendants(2.0)
        deadline = time.monotonic() + 2.0
        for rank in self.ranks:
            rank.output.finish(max(0.0, deadline - time.monotonic()))
