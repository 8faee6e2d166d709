"""What a worker counts, and Prometheus' text over all workers of the server.

Each worker counts in plain dictionaries, for that costs a request next to nothing, and writes them to a file of its own
now and then. Whichever worker is scraped adds up its own counts and the others' files. A dead worker's file stays, so
counters never go back while the server lives.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..whole_file import write_json

# Upper bounds of the latency histogram, in seconds.
_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_VERBS = re.compile(
    r"/v1/models/[^/]+.*:(predict|classify|regress)|/v2/models/[^/]+.*/(infer)|grpc:(?:Model)?(Predict|Infer)",
    re.IGNORECASE,
)
_FILE = "metrics-{}.json"


class Metrics:
    """The counts of one worker.

    Args:
        folder: Where the workers' files are.

    Attributes:
        in_flight: Says how many requests are in flight in this worker.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._requests: defaultdict[tuple[str, int, int], int] = defaultdict(int)
        self._seconds: dict[tuple[str, int], list[float]] = {}
        self._counts: defaultdict[tuple[str, int, str], float] = defaultdict(float)
        self._gauges: dict[tuple[str, int, str], float] = {}
        self._verbs: dict[str, str] = {}
        self.in_flight: Callable[[], float] = lambda: 0.0

    @property
    def answered(self) -> int:
        """Requests that this worker has answered."""
        return sum(list(self._requests.values()))

    def count(self, path: str, version: int, status: int, seconds: float) -> None:
        """Count an answered request."""
        verb = self._verbs.get(path) or self._verb(path)
        self._requests[verb, version, status] += 1
        histogram = self._seconds.get((verb, version))
        if histogram is None:
            histogram = self._seconds[verb, version] = [0.0] * (len(_BOUNDS) + 2)
        histogram[bisect_left(_BOUNDS, seconds)] += 1
        histogram[-1] += seconds
        if verb != "other":
            outcome = "succeeded" if status < 400 else "failed"
            self._counts[outcome, version, "count"] += 1
            self._counts[outcome, version, "seconds"] += seconds

    def mirrored(self, version: int, outcome: str) -> None:
        """Count a request that was copied to a mirror."""
        self.add("mirrored", version, outcome)

    def add(self, name: str, version: int, label: str, amount: float = 1) -> None:
        """Add to one of the named counters."""
        self._counts[name, version, label] += amount

    def put(self, name: str, version: int, label: str, total: float) -> None:
        """Say what one of the named counters has come to, where somebody else counts."""
        self._counts[name, version, label] = total

    def totals(self) -> dict[tuple[str, int, str], float]:
        """The named counters of all workers added up, and of the gauges the largest: by name, version and label."""
        totals: dict[tuple[str, int, str], float] = {}
        for worker in self._all():
            for name, version, label, value in worker["counts"]:
                totals[name, version, label] = totals.get((name, version, label), 0.0) + value
            for name, version, label, value in worker["gauges"]:
                totals[name, version, label] = max(value, totals.get((name, version, label), value))
        return totals

    def set(self, name: str, version: int, label: str, value: float) -> None:
        """Set one of the named gauges; the workers' largest is shown."""
        self._gauges[name, version, label] = value

    def write(self) -> None:
        """Write the counts down for other workers to read."""
        write_json(self._folder / _FILE.format(os.getpid()), self._to_json())

    def exposition(self, about: Mapping[str, str]) -> bytes:
        """All workers' counts in Prometheus' text format.

        Args:
            about: Labels of the server itself.
        """
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(_Collector(list(self._all()), about))  # pyright: ignore[reportArgumentType]
        return generate_latest(registry)

    def _verb(self, path: str) -> str:
        match = _VERBS.fullmatch(path)
        verb = (match[1] or match[2] or match[3]).lower() if match else "other"
        # Bounded: whoever makes up paths must not fill the memory.
        if len(self._verbs) < 256:
            self._verbs[path] = verb
        return verb

    def _to_json(self) -> dict[str, Any]:
        return {
            "requests": [[*key, value] for key, value in list(self._requests.items())],
            "seconds": [[*key, value] for key, value in list(self._seconds.items())],
            "counts": [[*key, value] for key, value in list(self._counts.items())],
            "gauges": [[*key, value] for key, value in list(self._gauges.items())],
            "in_flight": self.in_flight(),
        }

    def _all(self) -> Iterator[dict[str, Any]]:
        own = _FILE.format(os.getpid())
        yield self._to_json()
        for path in self._folder.glob(_FILE.format("*")):
            if path.name != own:
                counts = json.loads(path.read_bytes())
                if not _lives(int(path.stem.rpartition("-")[2])):
                    counts["in_flight"] = 0.0
                yield counts


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


class _Collector:
    """Adds up what workers counted, as prometheus-client wants it."""

    def __init__(self, workers: list[dict[str, Any]], about: Mapping[str, str]) -> None:
        self._workers = workers
        self._about = about

    def collect(self) -> Iterator[Any]:
        """Every metric, once a scrape."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        info = GaugeMetricFamily("trainstack_model", "The model that is served: 1.", labels=list(self._about))
        info.add_metric(list(self._about.values()), 1)
        yield info
        yield GaugeMetricFamily(
            "trainstack_requests_in_flight",
            "Requests that came and are not answered yet: the mean of the last ten seconds.",
            sum(worker["in_flight"] for worker in self._workers),
        )
        requests = CounterMetricFamily(
            "trainstack_requests", "Requests answered.", labels=["verb", "version", "status"]
        )
        for (verb, version, status), value in self._summed("requests").items():
            requests.add_metric([verb, str(version), str(status)], value)
        yield requests
        seconds = HistogramMetricFamily(
            "trainstack_request_seconds",
            "Seconds from first byte to answer.",
            labels=["verb", "version"],
        )
        for (verb, version), counts in self._summed_lists("seconds").items():
            total, buckets = 0.0, list[tuple[str, float]]()
            for bound, value in zip((*map(str, _BOUNDS), "+Inf"), counts[:-1], strict=True):
                total += value
                buckets.append((bound, total))
            seconds.add_metric([verb, str(version)], buckets, counts[-1])
        yield seconds
        for name, (help_text, label) in _COUNTERS.items():
            family = CounterMetricFamily(f"trainstack_{name}", help_text, labels=["version", label])
            for (counter, version, value_of), value in self._summed("counts").items():
                if counter == name:
                    family.add_metric([str(version), value_of], value)
            yield family
        for name, (help_text, label) in _GAUGES.items():
            family = GaugeMetricFamily(f"trainstack_{name}", help_text, labels=["version", label])
            largest: dict[tuple[str, str], float] = {}
            for worker in self._workers:
                for counter, version, value_of, value in worker["gauges"]:
                    if counter == name:
                        key = (str(version), value_of)
                        largest[key] = max(value, largest.get(key, value))
            for key, value in largest.items():
                family.add_metric(list(key), value)
            yield family

    def _summed(self, table: str) -> dict[tuple[Any, ...], float]:
        summed: defaultdict[tuple[Any, ...], float] = defaultdict(float)
        for worker in self._workers:
            for *key, value in worker[table]:
                summed[tuple(key)] += value
        return summed

    def _summed_lists(self, table: str) -> dict[tuple[Any, ...], list[float]]:
        summed: dict[tuple[Any, ...], list[float]] = {}
        for worker in self._workers:
            for *key, values in worker[table]:
                before = summed.get(tuple(key), [0.0] * len(values))
                summed[tuple(key)] = [total + other for total, other in zip(before, values, strict=True)]
        return summed


_COUNTERS = {
    "mirrored": ("Requests copied to a mirror.", "outcome"),
    "captured": ("Requests kept by data capture.", "outcome"),
}
_GAUGES = {
    "input_drift": (
        "Population stability index of an input against the training sample: the mean over its features.",
        "input",
    ),
}
