"""Drift of inputs: how far what clients send is from the training sample, as a population stability index.

The training sample comes with the model: `assets.extra/training_sample.npz`, an array for each input of the default
signature, saved by the training script beside the SavedModel. A sample input of several rows does where there is none.

Each feature's values are sorted into ten bins that hold a tenth of the sample each (fewer where values repeat). The
index sums (p - q) ln(p / q) over the bins, p and q the shares of requests and sample. It is usually read so: below 0.1
there is no drift, above 0.25 much.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .prediction_request import read_prediction
from .refusal import Refusal
from .servable import Servable
from .signature import DEFAULT
from .tensors import Array, is_object

SAMPLE = Path("assets.extra") / "training_sample.npz"
_BINS = 10
_FEATURES = 1024
_SAMPLE_ROWS = 10_000
_LEAST_SAMPLE = 20
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
        # Where values repeat there are fewer bins: what is beyond the last edge is never reached.
        self._edges = np.full((len(self._columns), _BINS - 1), np.inf)
        for feature in range(rows.shape[1]):
            edges: Array = np.unique(np.quantile(rows[:, feature], np.linspace(0, 1, _BINS + 1)[1:-1]))
            self._edges[feature, : len(edges)] = edges
        self._expected = self._shares(self._count(rows))
        self._seen = np.zeros_like(self._expected)

    def add(self, rows: Array) -> None:
        """Take rows that a client sent into account."""
        self._seen += self._count(rows.reshape(len(rows), -1)[:, self._columns].astype(np.float64))
        if self._seen[0].sum() > _WINDOW:
            self._seen /= 2

    def index(self) -> float | None:
        """The stability index, the mean over the features; None while too few rows were seen."""
        if self._seen[0].sum() < _LEAST:
            return None
        found = self._shares(self._seen)
        terms: Array = (found - self._expected) * np.log(found / self._expected)
        return float(terms.sum() / len(terms))

    def _count(self, rows: Array) -> Array:
        """Rows in each bin of each feature."""
        counts = np.zeros((len(self._columns), _BINS))
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
    found: dict[str, Array] = {}
    try:
        with np.load(path / SAMPLE, allow_pickle=False) as archive:
            found = {name: archive[name] for name in signature.inputs if name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        if sample_input is not None:
            body = sample_input if is_object(sample_input) else {"instances": sample_input}
            try:
                asked = read_prediction(body, servable.signatures)
            except Refusal:
                return {}
            found = dict(asked.tensors) if asked.signature is signature else {}
    return {
        name: Baseline(rows[:_SAMPLE_ROWS])
        for name, rows in found.items()
        if _is_usable(rows, signature.inputs[name].shape)
    }


class Observer:
    """Measures the drift of one version's inputs, on a few requests a second.

    Args:
        known: The training sample of each input.
    """

    def __init__(self, known: Mapping[str, Baseline]) -> None:
        self._known = known
        self._next = 0.0

    def observe(self, tensors: Mapping[str, Array]) -> None:
        """Take a request into account, if one is due."""
        now = time.monotonic()
        if not self._known or now < self._next:
            return
        self._next = now + _PAUSE
        for name, baseline in self._known.items():
            rows = tensors.get(name)
            if rows is not None and rows.size and np.isfinite(rows).all():
                baseline.add(rows[:_ROWS])

    def indexes(self) -> dict[str, float]:
        """The stability index of each input that enough was seen of."""
        return {name: index for name, one in self._known.items() if (index := one.index()) is not None}


def _is_usable(rows: Array, shape: tuple[int, ...] | None) -> bool:
    fits = shape is not None and rows.ndim == len(shape) and shape[:1] == (-1,)
    return bool(fits and rows.dtype.kind in "fiu" and len(rows) >= _LEAST_SAMPLE and np.isfinite(rows).all())
