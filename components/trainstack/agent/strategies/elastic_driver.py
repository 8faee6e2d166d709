"""Horovod's own elastic driver, with workers that the agent starts instead of ssh."""

from __future__ import annotations

import base64
import io
import pickle
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from ..plan import RENDEZVOUS_PORT, Horovod, LaunchPlan
from ..ranks.wakeup import Wakeup
from .rendezvous import horovod_module, rendezvous_server
from .slots import Slots, number_of

_WATCH_SECONDS = 0.1


def order_slots(available: set[str], before: list[str]) -> list[str]:
    """Return the slots in the order of their ranks: those that go on, which hold the state, before new ones."""
    going_on = [name for name in before if name in available]
    return going_on + sorted(available.difference(going_on), key=number_of)


class PlainData:
    """Reads what a worker says of itself: addresses and a key, in Horovod's form of a pickle.

    In place of Horovod's own reader, for which any class of any module may be in it, and is called.
    """

    @staticmethod
    def loads_base64(encoded: bytes) -> Any:
        """Return the value.

        Raises:
            pickle.UnpicklingError: It is more than plain data.
        """
        return _PlainUnpickler(io.BytesIO(base64.b64decode(encoded))).load()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no plain data")


def rendezvous_handler(driver: Any) -> Any:
    """Return Horovod's handler of what workers send to its elastic driver, which reads plain data only."""
    requests = horovod_module("runner.elastic.rendezvous")
    requests.codec = PlainData
    return requests.create_rendezvous_handler(driver)


@dataclass(eq=False)
class Worker:
    """A worker that the driver has requested.

    Attributes:
        slot: Horovod's `SlotInfo`: the slot's name as `hostname`, and the worker's first position in the run.
        exit_code: Not 0 when it failed; valid once it has ended.
        ended: Set when it has ended.
    """

    slot: Any
    exit_code: int = 1
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class StartWorker:
    """The driver requests the start of this worker."""

    worker: Worker


@dataclass(frozen=True)
class EndWorker:
    """The driver requests the end of this worker.

    Attributes:
        worker: The worker.
        number: The signal to send.
    """

    worker: Worker
    number: int


@dataclass(frozen=True)
class DriverEnded:
    """There is nothing left to drive.

    Attributes:
        error: What went wrong with the run as a whole, or an empty string.
        failed: Whether any worker of the last constellation failed.
    """

    error: str
    failed: bool


class Driver:
    """Runs Horovod's driver in threads of its own; its requests arrive as messages in the agent's loop."""

    def __init__(self, plan: LaunchPlan, options: Horovod, slots: Slots, wakeup: Wakeup) -> None:
        """Open the rendezvous and begin to look for slots.

        Raises:
            LaunchError: Horovod is not in this environment, or the port is taken.
        """
        self._wakeup = wakeup
        self._grace = plan.grace_seconds
        self._first = options.processes_per_node
        rendezvous = rendezvous_server(plan.nodes[0], plan.ports[RENDEZVOUS_PORT])
        elastic = horovod_module("runner.elastic.driver")
        # Horovod orders new hosts as they come out of a set: rank 0 would be in any slot.
        elastic.HostManager.order_available_hosts = staticmethod(order_slots)
        self._driver: Any = elastic.ElasticDriver(rendezvous, slots, options.min_workers, options.max_workers)
        rendezvous.start(rendezvous_handler(self._driver))

    def start(self) -> None:
        """Drive the run in the background until it ends."""
        threading.Thread(target=self._drive, daemon=True, name="elastic driver").start()

    def _drive(self) -> None:
        try:
            self._driver.start(self._first, self._run_worker)
            results = self._driver.get_results()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the agent's loop must know
            self._wakeup.post(DriverEnded(f"Horovod's elastic driver: {exc}", failed=True))
            return
        codes = [code for code, _ in results.worker_results.values()]
        self._wakeup.post(DriverEnded(results.error_message or "", failed=any(codes) or not codes))

    def _run_worker(self, slot: Any, unwanted: list[threading.Event]) -> tuple[int, float]:
        """Run one worker to its end. Horovod calls this in one thread a worker."""
        worker = Worker(slot)
        self._wakeup.post(StartWorker(worker))
        while not worker.ended.wait(_WATCH_SECONDS):
            if any(event.is_set() for event in unwanted):
                self._wakeup.post(EndWorker(worker, signal.SIGTERM))
                if not worker.ended.wait(self._grace):
                    self._wakeup.post(EndWorker(worker, signal.SIGKILL))
                    worker.ended.wait()
        return worker.exit_code, time.time()
