"""Drift of inputs: how far what clients send is from the training sample, as a population stability index.

The training sample comes with the model: `assets.extra/training_sample.npz`, an array for each input of the default
signature, saved by the training script beside the SavedModel. A sample input of several rows does where there is none.

Each feature's values are sorted into ten bins that hold a tenth of the sample each (fewer where the sample is small); a
value that many rows share, such as the black of a picture's edge, has a bin of its own. The index sums
(p - q) ln(p / q) over the bins, p and q the shares of requests and sample, less what chance alone makes of so few rows.
It is usually read so: below 0.1 there is no drift, above 0.25 much.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..codec.prediction_request import read_prediction
from ..codec.signature import DEFAULT
from ..codec.tensors import Array, is_object
from ..http.errors import HttpError
from .servable import Servable

_log = logging.getLogger("trainstack.server")
SAMPLE = Path("assets.extra") / "training_sample.npz"
_BINS = 10
_FEATURES = 1024
_SAMPLE_ROWS = 10_000
_LEAST_SAMPLE = 20
# Rows of the sample that a bin takes at least: emptier ones say more of chance than of the inputs.
_BIN_ROWS = 10
# Rows after which the older half weighs nothing any more, and rows before which nothing is said.
_WINDOW = 2000
_LEAST = 50
# Seconds between requests that are looked at, and rows of one that are: measuring must not be felt.
_PAUSE = 0.02
_ROWS = 16
# What an empty bin is taken to hold, so that no logarithm is infinite.
_FLOOR = 1e-3


class Baseline:
    """The training sample of one input.

    Args:
        sample: Rows of it.
    """

    def __init__(self, sample: Array) -> None:
        rows = sample.reshape(len(sample), -1).astype(np.float64)
        # Of very many features, evenly spread ones.
        self._columns = np.unique(np.linspace(0, rows.shape[1] - 1, min(_FEATURES, rows.shape[1])).astype(int))
        rows = rows[:, self._columns]
        bins = min(_BINS, max(2, len(rows) // _BIN_ROWS))
        # Where values repeat there are fewer bins: what is beyond the last edge is never reached.
        edges = [_edges(feature, bins) for feature in rows.T]
        self._edges = np.full((len(edges), max(map(len, edges))), np.inf)
        for feature, feature_edges in enumerate(edges):
            self._edges[feature, : len(feature_edges)] = feature_edges
        counts = self._count(rows)
        self._rows = len(rows)
        # Bins that chance can fill differently, less the one that the others leave no choice.
        self._free = float((np.count_nonzero(counts, axis=1) - 1).mean())
        self._expected = self._shares(counts)
        self._observed = np.zeros_like(self._expected)

    def add(self, rows: Array) -> None:
        """Take rows that a client sent into account."""
        self._observed += self._count(rows.reshape(len(rows), -1)[:, self._columns].astype(np.float64))
        if self._observed[0].sum() > _WINDOW:
            self._observed /= 2

    def index(self) -> float | None:
        """The stability index, the mean over the features; None while too few rows were seen."""
        row_count = self._observed[0].sum()
        if row_count < _LEAST:
            return None
        shares = self._shares(self._observed)
        terms: Array = (shares - self._expected) * np.log(shares / self._expected)
        # What the index of equal distributions is on average, for so many rows on either side.
        chance = self._free * (1 / row_count + 1 / self._rows)
        return max(0.0, float(terms.sum() / len(terms) - chance))

    def _count(self, rows: Array) -> Array:
        """Rows in each bin of each feature."""
        counts = np.zeros((len(self._columns), self._edges.shape[1] + 1))
        features = np.arange(len(self._columns))
        for start in range(0, len(rows), 64):
            bins: Array = (rows[start : start + 64, :, None] >= self._edges).sum(axis=2)
            for row in range(len(bins)):
                counts[features, bins[row]] += 1
        return counts

    @staticmethod
    def _shares(counts: Array) -> Array:
        return np.maximum(counts / counts.sum(axis=1, keepdims=True), _FLOOR)


def baselines(path: Path, servable: Servable, sample_input: object) -> dict[str, Baseline]:
    """The training sample that comes with a model.

    Args:
        path: The model's folder.
        servable: The loaded model.
        sample_input: What it was registered with.

    Returns:
        A baseline for each numeric input of the default signature that the sample has.
    """
    signature = servable.signatures.get(DEFAULT)
    if signature is None:
        return {}
    sample = _training_sample(path / SAMPLE)
    if sample is None and sample_input is not None:
        body = sample_input if is_object(sample_input) else {"instances": sample_input}
        try:
            prediction = read_prediction(body, servable.signatures)
        except HttpError:
            return {}
        sample = dict(prediction.tensors) if prediction.signature is signature else {}
    return {
        name: Baseline(rows[:_SAMPLE_ROWS])
        for name, rows in (sample or {}).items()
        if name in signature.inputs and _is_usable(rows, signature.inputs[name].shape)
    }


def _training_sample(path: Path) -> dict[str, Array] | None:
    """The arrays of the training sample; None when there is none that can be read."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as exc:  # noqa: BLE001 (a damaged archive fails in many ways; the model is served all the same)
        _log.warning("%s cannot be read, so drift is not measured by it: %s", path, exc)
        return None


def _edges(values: Array, bins: int) -> Array:
    """Edges of one feature's bins, each the lowest value of the bin above it."""
    quantiles: Array = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    edges = np.unique(quantiles)
    # A value that fills a bin or more ends there; else larger ones would be counted with it, and not be noticed.
    crowded = [value for value in edges if np.count_nonzero(values == value) * bins >= len(values)]
    return np.unique([*edges, *np.nextafter(crowded, np.inf)])


class Observer:
    """Measures the drift of one version's inputs, on a few requests a second.

    Args:
        baselines: The training sample of each input.
    """

    def __init__(self, baselines: Mapping[str, Baseline]) -> None:
        self._baselines = baselines
        self._next = 0.0

    def observe(self, tensors: Mapping[str, Array]) -> None:
        """Take a request into account, if one is due."""
        now = time.monotonic()
        if not self._baselines or now < self._next:
            return
        self._next = now + _PAUSE
        for name, baseline in self._baselines.items():
            rows = tensors.get(name)
            if rows is not None and rows.size and np.isfinite(rows).all():
                baseline.add(rows[:_ROWS])

    def indexes(self) -> dict[str, float]:
        """The stability index of each input that enough was seen of."""
        return {name: index for name, baseline in self._baselines.items() if (index := baseline.index()) is not None}


def _is_usable(rows: Array, shape: tuple[int, ...] | None) -> bool:
    # Rows of one width only: else a feature is not the same from request to request.
    fits = shape is not None and shape[:1] == (-1,) and -1 not in shape[1:] and rows.shape[1:] == shape[1:]
    return bool(fits and rows.dtype.kind in "fiu" and len(rows) >= _LEAST_SAMPLE and np.isfinite(rows).all())
