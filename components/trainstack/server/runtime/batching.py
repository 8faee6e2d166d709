"""Calls of one signature: at once where that is quick, else in a thread, together with what came meanwhile.

Nothing waits for company. While a call runs, requests queue up, and the next call takes as many of their rows as it
can compute within the latency bound. So the batch grows with the load, and an idle service answers at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from ..codec.tensors import Array
from ..http.errors import HttpError

Tensors = Mapping[str, Array]
Run = Callable[[Tensors], dict[str, Array]]

# Longest that a call may hold up the event loop, in seconds; calls that once took many times that are never made there.
_INLINE = 500e-6
_SLOW = 10e-3
# How much a new measurement counts.
_WEIGHT = 0.1
# Sizes of calls that are counted apart.
_SIZES = 1024


@dataclass(eq=False)
class _Waiting:
    tensors: Tensors
    rows: int
    deadline: float
    answer: asyncio.Future[dict[str, Array]]
    begun: float


class Batcher:
    """Runs one signature of one model version.

    Args:
        run: What computes; called from one thread at a time for each of `parallel`.
        pool: Threads to compute in.
        independent: Whether rows of several requests may share a call.
        inline: Whether a quick call may be made on the event loop.
        parallel: Calls that may run side by side.
        latency: The longest that one shared call should take, in seconds.
        cost: Seconds of a call, and of each row in it, as measured at warm-up.

    Attributes:
        executions: Rows of a call to how many there were of so many, and their seconds.
        queued: Seconds that requests have waited for their call.
        last: When the last call ended, of `time.time`.
    """

    def __init__(
        self,
        run: Run,
        pool: Executor,
        *,
        independent: bool,
        inline: bool,
        parallel: int,
        latency: float,
        cost: tuple[float, float] | None,
    ) -> None:
        self._run = run
        self._pool = pool
        self._independent = independent
        self._inline = inline and independent and cost is not None
        self._parallel = parallel
        self._latency = latency
        self._call, self._row = cost or (0.0, 0.0)
        # How much slower calls are now than at warm-up.
        self._slowness = 1.0
        self._waiting: deque[_Waiting] = deque()
        self._running = 0
        self.executions: dict[int, list[float]] = {}
        self.queued = 0.0
        self.last = 0.0

    def estimate(self, rows: int) -> float:
        """Seconds that a call with so many rows takes, about."""
        return self._slowness * (self._call + rows * self._row)

    def wait(self) -> float:
        """Seconds until a request that came now would be computed, about."""
        return self.estimate(sum(waiting.rows for waiting in self._waiting)) / self._parallel if self._waiting else 0.0

    def now(self, tensors: Tensors, rows: int) -> dict[str, Array] | None:
        """Compute one request at once, on the event loop; None where that would hold others up.

        Raises:
            HttpError: The model refuses.
        """
        if not self._inline or self._running or self.estimate(rows) > _INLINE:
            return None
        begun = time.perf_counter()
        outputs = self._run(tensors)
        duration = time.perf_counter() - begun
        self._learn(duration, rows)
        if duration > _SLOW * self._slowness:
            self._inline = False
        return outputs

    async def run(self, tensors: Tensors, rows: int, deadline: float) -> dict[str, Array]:
        """Compute one request in a thread.

        Args:
            tensors: Input name to tensor.
            rows: Rows in each, where they share calls; else anything.
            deadline: When nobody waits any more, of `time.monotonic`.

        Raises:
            HttpError: The model refuses, or the deadline has passed (504).
        """
        answer: asyncio.Future[dict[str, Array]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(tensors, rows, deadline, answer, time.monotonic()))
        self._start()
        return await answer

    def _start(self) -> None:
        while self._waiting and self._running < self._parallel:
            batch = self._next()
            if not batch:
                return
            self._running += 1
            loop = asyncio.get_running_loop()
            computed = loop.run_in_executor(self._pool, self._compute, batch)
            computed.add_done_callback(lambda done, batch=batch: self._finish(batch, done))

    def _next(self) -> list[_Waiting]:
        """What the next call takes: one request, and as many more as fit into the latency bound."""
        now = time.monotonic()
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting:
            first = self._waiting[0]
            if first.answer.done():
                self._waiting.popleft()
            elif first.deadline < now:
                self._waiting.popleft()
                first.answer.set_exception(HttpError("the deadline passed before the request was computed", 504))
            elif not batch or (self._independent and self.estimate(rows + first.rows) <= self._latency):
                batch.append(self._waiting.popleft())
                rows += first.rows
                self.queued += now - first.begun
            else:
                break
        return batch

    def _compute(self, batch: list[_Waiting]) -> list[dict[str, Array] | Exception]:
        """Compute a batch, in a thread."""
        if len(batch) == 1:
            return [self._attempt(batch[0])]
        together = {name: np.concatenate([waiting.tensors[name] for waiting in batch]) for name in batch[0].tensors}
        rows = sum(waiting.rows for waiting in batch)
        begun = time.perf_counter()
        try:
            outputs = self._run(together)
        except HttpError:
            # Somebody's rows are at fault: each gets an answer of its own.
            return [self._attempt(waiting) for waiting in batch]
        self._learn(time.perf_counter() - begun, rows)
        if any(tensor.shape[:1] != (rows,) for tensor in outputs.values()):
            # Not a row of answer a row of question, whatever it looked like when the model was compared.
            self._independent = False
            return [self._attempt(waiting) for waiting in batch]
        answers: list[dict[str, Array] | Exception] = []
        start = 0
        for waiting in batch:
            answers.append({name: tensor[start : start + waiting.rows] for name, tensor in outputs.items()})
            start += waiting.rows
        return answers

    def _attempt(self, waiting: _Waiting) -> dict[str, Array] | Exception:
        begun = time.perf_counter()
        try:
            outputs = self._run(waiting.tensors)
        except Exception as exc:  # noqa: BLE001 (told to whoever asked, not to the thread)
            return exc
        self._learn(time.perf_counter() - begun, waiting.rows)
        return outputs

    def _finish(self, batch: list[_Waiting], computed: asyncio.Future[list[dict[str, Array] | Exception]]) -> None:
        self._running -= 1
        failed = computed.exception()
        answers = [failed] * len(batch) if failed is not None else computed.result()
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, dict):
                waiting.answer.set_result(answer)
            else:
                waiting.answer.set_exception(answer)
        self._start()

    def _learn(self, duration: float, rows: int) -> None:
        executions = self.executions.get(rows)
        if executions is None:
            # Bounded: whoever sends batches of every size must not fill the memory.
            rows = rows if len(self.executions) < _SIZES else max(self.executions)
            executions = self.executions.setdefault(rows, [0, 0.0])
        executions[0] += 1
        executions[1] += duration
        self.last = time.time()
        expected = self._call + rows * self._row
        if expected > 0:
            # One long pause of the machine must not turn batching off.
            slowness = min(duration / expected, 10.0)
            self._slowness += _WEIGHT * (slowness - self._slowness)
