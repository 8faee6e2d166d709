"""The agent of one node: starts its ranks, watches them as one group, and reports how they ended."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .coordination.coordination import AllJoined, Coordination, RunEnded
from .errors import LaunchError
from .gpu_check import require_gpus
from .plan import LaunchPlan
from .ranks.orphans import adopt_orphans
from .ranks.rank_environment import rank_environment
from .ranks.rank_group import Rank, RankGroup
from .ranks.tasks import tasks_of
from .ranks.wakeup import Wakeup
from .reporting.logs import MergedOutput
from .reporting.report import FAILED, RUNNING, STARTING, SUCCEEDED, TERMINATED, Failure, NodeReport
from .reporting.system_metrics import SystemMetrics
from .reporting.working_folder import WorkingFolder
from .strategies.selection import strategy_for
from .strategies.strategy import Strategy

EXIT_CODES = {SUCCEEDED: 0, FAILED: 1, TERMINATED: 143}
NOT_LAUNCHED = 2
"""Exit code when nothing could be started."""
FAILED_GRACE_SECONDS = 3.0
"""After a failure the others get no longer than this: a run that cannot go on must not occupy its machines."""


class Agent:
    """Runs one node of a plan, once."""

    def __init__(self, plan: LaunchPlan, node: int) -> None:
        """Prepare to run node `node` of `plan`."""
        self._plan = plan
        self._node = node
        self._tasks = tasks_of(plan, node)
        self._merged = MergedOutput(1, prefixed=plan.task_count > 1, limit=plan.log_bytes // len(plan.nodes))
        self._rank_group = RankGroup(self._merged)
        self._wakeup = Wakeup()
        self._strategy: Strategy = strategy_for(plan, node)
        self._coordination: Coordination = self._strategy.coordination(self._wakeup)
        self._report = NodeReport(node, STARTING, os.getpid(), time.time())
        self._deadline: float | None = None
        self._reported_done = False
        self._end: RunEnded | None = None
        self._system: SystemMetrics | None = None
        self._working_folder = WorkingFolder(plan.code)

    def run(self) -> int:
        """Run to the end and return the exit code.

        Must be called in the main thread of a process of its own: it takes over signals and orphans, and
        kills every descendant when it ends.
        """
        self._wakeup.install()
        adopt_orphans()
        self._write_report()
        try:
            require_gpus(self._plan.gpus)
            self._strategy.prepare()
            self._coordination.join()
            if self._plan.tracking:
                self._system = SystemMetrics(Path(self._plan.tracking, f"node-{self._node}"), self._plan.system_seconds)
            self._supervise()
        except (LaunchError, OSError) as exc:
            self._report.error = str(exc)
            self._conclude(FAILED, Failure(self._node, str(exc), time.time()))
            self._coordination.failed(self._report.first_failure or Failure(self._node, str(exc), time.time()))
        finally:
            self._rank_group.kill()
            self._finish()
        return NOT_LAUNCHED if self._report.error else EXIT_CODES[self._report.state]

    def _supervise(self) -> None:
        """Handle events until every process of this node has ended or is out of time."""
        while True:
            now = time.monotonic()
            if self._deadline is not None and (now >= self._deadline or not self._rank_group.lingers()):
                break
            pause = 0.05 if self._deadline is not None else 1.0
            for message in self._wakeup.wait(pause):
                self._handle(message)
            self._check()
        # Another node may have failed first: give its message a moment to arrive.
        deadline = time.monotonic() + 2.0
        while self._report.state == FAILED and self._end is None and time.monotonic() < deadline:
            for message in self._wakeup.wait(deadline - time.monotonic()):
                self._handle(message)

    def _handle(self, message: object) -> None:
        if isinstance(message, LaunchError) and self._deadline is None:
            raise message
        if isinstance(message, AllJoined) and self._report.state == STARTING:
            self._start()
        if isinstance(message, RunEnded) and self._end is None:
            self._end = message
            if message.failure and message.failure.node != self._node and self._report.state == RUNNING:
                self._merged.print_message(f"node {message.failure.node}: {message.failure.reason}; ending this node")
            self._conclude(message.state, message.failure)

    def _check(self) -> None:
        """Handle signals and ended ranks."""
        ended = self._rank_group.reap()
        if self._wakeup.stop and self._deadline is None:
            self._merged.print_message(f"asked to stop; the ranks get {self._plan.grace_seconds:g} s")
            self._coordination.stopped()
            self._conclude(TERMINATED, None)
        self._handle_ended(ended)
        if ended:
            self._write_report()

    def _handle_ended(self, ended: list[Rank]) -> None:
        """Decide what ended ranks mean for the run."""
        bad = [rank for rank in ended if rank.report.exit_code != 0 or not rank.task.runs_script]
        if self._deadline is not None:
            return
        if bad:
            # Ended by a signal is a cause; an exit code may be the answer to another rank's end.
            first = min(bad, key=lambda rank: (rank.report.signal is None, rank.task.rank))
            failure = first.failure()
            others = "; ending the others" if self._plan.task_count > 1 else ""
            self._merged.print_message(f"{failure.reason}{others}")
            self._coordination.failed(failure)
            self._conclude(FAILED, failure)
        elif self._report.state == RUNNING and not self._reported_done and self._scripts_ended():
            self._reported_done = True
            self._coordination.done()

    def _scripts_ended(self) -> bool:
        return not any(rank.alive and rank.task.runs_script for rank in self._rank_group.ranks)

    def _start(self) -> None:
        """Start all ranks of this node."""
        self._strategy.ready()
        self._report.state = RUNNING
        for task in self._tasks:
            variables = rank_environment(self._plan, task, os.environ)
            variables.update(self._strategy.variables(task))
            rank = self._rank_group.start(task, self._strategy.command(task), variables, self._plan.code)
            self._report.ranks.append(rank.report)
        self._write_report()

    def _conclude(self, state: str, failure: Failure | None) -> None:
        """Begin to end the ranks; the first failure that the nodes agree on replaces this node's own view."""
        if failure is not None and self._report.state != TERMINATED:
            self._report.first_failure = failure
        if self._deadline is not None:
            return
        self._report.state = state
        grace = self._plan.grace_seconds
        if state == FAILED:
            grace = min(grace, FAILED_GRACE_SECONDS)
        elif state == SUCCEEDED:
            grace = FAILED_GRACE_SECONDS if self._rank_group.alive else 0.0
        self._deadline = time.monotonic() + grace
        self._rank_group.terminate()

    def _finish(self) -> None:
        if self._system is not None:
            self._system.close()
        self._strategy.close()
        self._coordination.close()
        self._report.ended = time.time()
        self._merged.finish()
        self._report.log_error = self._merged.error
        self._report.added_files, self._report.added_count = self._working_folder.added()
        if self._report.state in (STARTING, RUNNING):
            self._report.state = FAILED
        self._write_report()

    def _write_report(self) -> None:
        try:
            self._report.write(self._plan.reports)
        except OSError as exc:
            self._merged.print_message(f"cannot write the report of node {self._node}: {exc.strerror}")
