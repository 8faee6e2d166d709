"""The agent of an elastic Horovod run: workers may fail, and come back, without an end to the run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .agent import Agent
from .plan import Horovod, LaunchPlan
from .ranks.interfaces import interface_of
from .ranks.rank_environment import rank_environment
from .ranks.rank_group import Rank
from .ranks.tasks import Task
from .reporting.report import FAILED, RUNNING, SUCCEEDED, Failure
from .strategies.elastic_driver import Driver, DriverEnded, EndWorker, StartWorker, Worker
from .strategies.horovod import connection_variables
from .strategies.horovod_variables import tuning_variables
from .strategies.slots import Slots, number_of

_GLOO_TIMEOUT_SECONDS = 120
"""Ranks that stay wait this long for a new one, which must import TensorFlow first. Horovod's own 30 s is short."""


class ElasticAgent(Agent):
    """Starts workers when Horovod's driver requests them. A slot keeps its number and its log, whatever its rank."""

    def __init__(self, plan: LaunchPlan, node: int, options: Horovod) -> None:
        """Prepare to run `plan`, which has one node."""
        super().__init__(plan, node)
        self._options = options
        self._slots = Slots(plan.task_count, Path(plan.reports))
        self._workers: dict[int, Worker] = {}
        self._failure: Failure | None = None

    def _start(self) -> None:
        if self._options.timeline or self._options.autotune:
            Path(self._plan.outputs).mkdir(parents=True, exist_ok=True)
        self._report.state = RUNNING
        self._write_report()
        Driver(self._plan, self._options, self._slots, self._wakeup).start()

    def _handle(self, message: object) -> None:
        if isinstance(message, StartWorker):
            self._start_worker(message.worker)
        elif isinstance(message, EndWorker):
            for rank in self._rank_group.ranks:
                if self._workers.get(rank.process.pid) is message.worker:
                    rank.signal(message.number)
        elif isinstance(message, DriverEnded):
            self._driver_ended(message)
        else:
            super()._handle(message)

    def _handle_ended(self, ended: list[Rank]) -> None:
        """Tell the driver of workers that have ended; it decides what that means."""
        for rank in ended:
            worker = self._workers.pop(rank.process.pid)
            worker.exit_code = 0 if rank.report.exit_code == 0 else 1
            if worker.exit_code and self._deadline is None and not rank.report.stopped:
                self._failed(rank, worker)
            worker.ended.set()

    def _failed(self, rank: Rank, worker: Worker) -> None:
        failure = rank.failure()
        # The first since the last worker started: later ones may be the answer to it.
        self._failure = self._failure or failure
        self._merged.print_message(f"{failure.reason}; {self._slots.worker_lost(worker.slot.hostname)}")
        least = self._options.min_workers or 1
        if self._slots.usable < least:
            self._merged.print_message(f"fewer than {least} slots are left; ending the others")
            self._conclude(FAILED, failure)

    def _driver_ended(self, message: DriverEnded) -> None:
        if not message.failed and not message.error:
            self._conclude(SUCCEEDED, None)
            return
        failure = self._failure
        if message.error or failure is None:
            failure = Failure(self._node, message.error or "no worker has ended well", time.time())
        self._conclude(FAILED, failure)

    def _start_worker(self, worker: Worker) -> None:
        if self._deadline is not None:
            worker.ended.set()
            return
        self._failure = None
        slot = worker.slot
        number = number_of(slot.hostname)
        size = self._plan.task_count
        task = Task(number, size, number, size, 0, 1, "rank", number)
        variables = rank_environment(self._plan, task, os.environ)
        variables.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(_GLOO_TIMEOUT_SECONDS))
        variables.update(connection_variables(self._plan, interface_of(self._plan.nodes[0])))
        variables.update(tuning_variables(self._options, self._plan.outputs))
        position = {
            "HOSTNAME": slot.hostname,
            "RANK": slot.rank,
            "SIZE": slot.size,
            "LOCAL_RANK": slot.local_rank,
            "LOCAL_SIZE": slot.local_size,
            "CROSS_RANK": slot.cross_rank,
            "CROSS_SIZE": slot.cross_size,
            "ELASTIC": 1,
        }
        variables.update({f"HOROVOD_{name}": str(value) for name, value in position.items()})
        rank = self._rank_group.start(task, self._strategy.command(task), variables, self._plan.code)
        self._workers[rank.process.pid] = worker
        self._report.ranks.append(rank.report)
        self._merged.print_message(f"{rank.name} of up to {size} starts")
        self._write_report()
