"""The versions that a worker serves at one moment: loaded, warmed, and chosen among by weight, number or label."""

from __future__ import annotations

import itertools
import json
import logging
import random
import time
from bisect import bisect
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..codec import warm_up_requests
from ..codec.prediction_request import Prediction, read_prediction
from ..codec.rows import RowDecoder
from ..codec.signature import DEFAULT, Signature
from ..codec.tensors import Array, is_object
from ..http.errors import HttpError
from ..http.messages import JSON, Headers, Response
from ..runtime.batching import Batcher
from ..runtime.generated_inputs import filled
from ..serving_plan import Plan, VersionPlan
from .drift import Observer, baselines
from .servable import Servable

_log = logging.getLogger("trainstack.server")
# Rows of the second call by which the cost of a row is told from that of a call.
_ROWS = 16


class Counters(Protocol):
    """Where a version says what it has computed."""

    def put(self, name: str, version: int, label: str, total: float) -> None:
        """Say what a counter has come to."""
        ...

    def set(self, name: str, version: int, label: str, value: float) -> None:
        """Say what a gauge shows."""
        ...


class LoadedModel:
    """One version, ready to answer.

    Args:
        plan: What it is. Its weight may have changed since; the `ModelSet` knows.
        servable: The loaded model.
        pool: Threads to compute in.
        threads: Calls of TensorFlow that may run side by side.
        latency: The longest that one shared call should take, in seconds.

    Raises:
        ValueError: The model refuses its own sample input.
    """

    def __init__(self, plan: VersionPlan, servable: Servable, pool: Executor, *, threads: int, latency: float) -> None:
        self.plan = plan
        self.servable = servable
        # On every answer: which model gave it.
        self.headers = Headers({"x-model-version": plan.version, "x-model-digest": plan.digest})
        self.json_headers = JSON + self.headers
        default = servable.signatures.get(DEFAULT)
        self._decoder = RowDecoder(default) if default is not None and RowDecoder.fits(default) else None
        self.drift = Observer(baselines(Path(plan.path), servable, plan.sample_input))
        self._warm_up()
        self._batchers = {
            name: self._batcher(signature, pool, threads, latency)
            for name, signature in servable.signatures.items()
            if signature.inputs
        }

    def wait(self, signature: Signature) -> float:
        """Seconds until a request that came now would be computed, about."""
        return self._batchers[signature.name].wait()

    def decoded(self, body: bytes) -> Prediction | None:
        """Read a `:predict` body of the usual form; None when it is not one. Only on the event loop."""
        decoded = self._decoder.decode(body) if self._decoder is not None else None
        return None if decoded is None else Prediction(self.servable.signatures[DEFAULT], *decoded)

    def now(self, prediction: Prediction) -> dict[str, Array] | None:
        """Run a prediction at once; None where that takes too long to do it on the event loop.

        Raises:
            HttpError: The model refuses.
        """
        return self._batchers[prediction.signature.name].now(prediction.tensors, _rows(prediction))

    async def run(self, prediction: Prediction, deadline: float) -> dict[str, Array]:
        """Run a prediction; see `Batcher.run`.

        Raises:
            HttpError: The model refuses, or the deadline has passed.
        """
        return await self._batchers[prediction.signature.name].run(prediction.tensors, _rows(prediction), deadline)

    def measure(self, metrics: Counters) -> None:
        """Say what all of its signatures have computed."""
        version = self.plan.version
        calls: dict[int, float] = {}
        seconds: dict[int, float] = {}
        # Copied: other threads count on.
        for batcher in self._batchers.values():
            for rows, (count, duration) in list(batcher.executions.items()):
                calls[rows] = calls.get(rows, 0) + count
                seconds[rows] = seconds.get(rows, 0.0) + duration
        for rows, count in calls.items():
            metrics.put("executions", version, str(rows), count)
            metrics.put("computed", version, str(rows), seconds[rows])
        metrics.put("queued", version, "seconds", sum(batcher.queued for batcher in self._batchers.values()))
        last = max((batcher.last for batcher in self._batchers.values()), default=0.0)
        metrics.set("last_inference", version, "ms", last * 1000)

    def _batcher(self, signature: Signature, pool: Executor, threads: int, latency: float) -> Batcher:
        servable = self.servable
        on_litert = servable.on_litert(signature)
        independent = servable.has_independent_rows(signature)
        return Batcher(
            lambda tensors: servable.run(signature, tensors),
            pool,
            independent=independent,
            inline=on_litert,
            parallel=1 if on_litert else threads,
            latency=latency,
            cost=self._cost(signature) if independent else None,
        )

    def _warm_up(self) -> None:
        """Run before the first client does: the sample input and the model's own requests, else zeros."""
        sample, signatures = self.plan.sample_input, self.servable.signatures
        requests = warm_up_requests.read(Path(self.plan.path), signatures)
        for request in requests:
            try:
                self.servable.run(request.signature, request.tensors)
            except HttpError as exc:
                raise ValueError(f"the model refuses a warm-up request: {exc}") from exc
        if requests:
            _log.info("played %d warm-up requests", len(requests))
        if sample is not None:
            try:
                prediction = read_prediction(sample if is_object(sample) else {"instances": sample}, signatures)
                self.servable.run(prediction.signature, prediction.tensors)
            except HttpError as exc:
                raise ValueError(f"the model refuses its sample input: {exc}") from exc
            return
        signature = signatures.get(DEFAULT)
        if requests or signature is None or not signature.inputs:
            return
        try:
            self.servable.run(signature, filled(signature, 1))
        except HttpError as exc:
            # Zeros are a guess: a model that decodes images cannot take an empty string, and is well.
            _log.info("warm-up with zeros was refused: %s; a sample input would warm the model", exc)

    def _cost(self, signature: Signature) -> tuple[float, float] | None:
        """Seconds of a call, and of each row in it."""
        try:
            single, several = (self._seconds(signature, rows) for rows in (1, _ROWS))
        except HttpError:
            return None
        row = max(several - single, 0.01 * single) / (_ROWS - 1)
        return max(single - row, 0.0), row

    def _seconds(self, signature: Signature, rows: int) -> float:
        tensors = filled(signature, rows)
        seconds: list[float] = []
        for _ in range(5):
            begun = time.perf_counter()
            self.servable.run(signature, tensors)
            seconds.append(time.perf_counter() - begun)
        return min(seconds[1:])


@dataclass(slots=True)
class InferenceCall:
    """A request that was read: what to compute, and how to say what came out.

    Attributes:
        model: The version that is to answer.
        prediction: What to compute.
        write: Makes the response of the outputs.
        is_named: Whether the client named the version.
        seconds: For how long the client waits, where it says so.
    """

    model: LoadedModel
    prediction: Prediction
    write: Callable[[Mapping[str, Array]], Response]
    is_named: bool = False
    seconds: float | None = None


class ModelSet:
    """The versions of one plan; replaced as a whole when the plan changes.

    Args:
        plan: The plan.
        versions: Its versions, loaded.
    """

    def __init__(self, plan: Plan, versions: Iterable[LoadedModel]) -> None:
        self.plan = plan
        self.versions = {model.plan.version: model for model in versions}
        weights = {version.version: version.weight for version in plan.versions}
        self.main = self.versions[plan.main.version]
        self.mirror = None if plan.mirror is None else self.versions[plan.mirror]
        self._weighted = [model for version, model in self.versions.items() if weights[version] > 0] or [self.main]
        self._bounds = list(itertools.accumulate(max(weights[model.plan.version], 1) for model in self._weighted))

    def choose(self) -> LoadedModel:
        """A version for a request that names none, by weight."""
        if len(self._weighted) == 1:
            return self._weighted[0]
        return self._weighted[bisect(self._bounds, random.randrange(self._bounds[-1]))]  # noqa: S311 (traffic, no secret)

    def named(self, version: int | None, label: str | None) -> LoadedModel | None:
        """The version of a number or label; one chosen by weight for neither; None when it is not served.

        Raises:
            HttpError: There is no such label.
        """
        if label is not None:
            if label not in self.plan.labels:
                raise HttpError(f"Unrecognized servable version label: {label}")
            version = self.plan.labels[label]
        return self.choose() if version is None else self.versions.get(version)


def load(
    plan: Plan,
    conversions: Mapping[int, Path],
    before: ModelSet | None,
    pool: Executor,
    *,
    threads: int,
    latency: float,
) -> ModelSet:
    """Load a plan's versions, beside those that are served now; what stays the same is not loaded again.

    Raises:
        ValueError: A version cannot be loaded.
    """
    loaded: dict[str, LoadedModel] = {}
    if before is not None:
        loaded = {_identity(model.plan, before.plan): model for model in before.versions.values()}
    versions: list[LoadedModel] = []
    for version in plan.versions:
        model = loaded.get(_identity(version, plan))
        if model is None:
            servable = Servable(Path(version.path), conversions[version.version], threads=threads)
            model = LoadedModel(version, servable, pool, threads=threads, latency=latency)
        versions.append(model)
    return ModelSet(plan, versions)


def _rows(prediction: Prediction) -> int:
    first = next(iter(prediction.tensors.values()))
    return len(first) if first.ndim else 1


def _identity(version: VersionPlan, plan: Plan) -> str:
    """What tells a loaded version from another: all but its share of the traffic."""
    return json.dumps([version.version, version.path, version.digest, version.sample_input, plan.runtime])
