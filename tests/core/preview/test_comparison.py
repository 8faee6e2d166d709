"""Metrics before and after an update, from two exported states."""

import pytest
from tests.core.preview.documents import exported, state

from trainstack.core.preview.comparison import compare
from trainstack.core.preview.document import read_state


def stack(version, digest, run, **metrics):
    return read_state(
        exported(
            state("TrainingRun", "fit", {}, {"run_id": run, "metrics": metrics}),
            state("Model", "net", {"run_id": run}, {"run_id": run, "version": version, "digest": digest}),
            state("WebService", "web", {"model_name": "net"}),
        )
    )


def test_metrics_now_stand_beside_those_before():
    [found] = compare(stack(1, "a", "r1", accuracy=0.9, loss=0.5), stack(2, "b", "r2", accuracy=0.93, f1=0.8))
    assert (found.before, found.after, found.services, found.same_bytes) == (1, 2, ["web"], False)
    deltas = {metric.name: metric.delta for metric in found.metrics}
    assert deltas == {"accuracy": pytest.approx(0.03), "f1": None, "loss": None}


def test_a_first_model_has_nothing_before_it():
    [found] = compare([], stack(1, "a", "r1", accuracy=0.9))
    assert (found.before, found.metrics[0].before, found.metrics[0].after) == (None, None, 0.9)


def test_the_same_bytes_are_told_as_such():
    [found] = compare(stack(1, "a", "r1"), stack(1, "a", "r1"))
    assert found.same_bytes
