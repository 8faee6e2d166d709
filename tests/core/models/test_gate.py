"""A model is registered only when its run's metrics are good enough, and aliases move only to what there is."""

from pathlib import Path

import pytest

from trainstack.core.maintenance import purge
from trainstack.core.models import aliases, gate, model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import GateError, InUseError, InvalidInputError, NotFoundError


def finished(workspace: Workspace, run_id: str, **metrics: float) -> str:
    run = RunDirectory(workspace.run(run_id))
    (run.outputs / "model").mkdir(parents=True)
    (run.outputs / "model" / "weights").write_text(run_id)
    run.write(RunRecord(id=run_id, name="net", status=Status.COMPLETED, created=1, updated=1, metrics=metrics))
    return run_id


@pytest.fixture
def two(workspace):
    """Versions 1 and 2 of a model, of runs with accuracy 0.97 and 0.98."""
    for run_id, accuracy in (("a" * 16, 0.97), ("b" * 16, 0.98)):
        finished(workspace, run_id, accuracy=accuracy, loss=1 - accuracy)
        model.register(workspace, ModelSpec(name="net"), Path("outputs/model"), run_id)
    return workspace


def refused(workspace, run_id, **require):
    with pytest.raises(GateError) as caught:
        gate.check(workspace, "net", run_id, gate.parse(require))
    return str(caught.value)


def test_a_metric_below_its_bound_is_told_with_the_numbers(workspace):
    run = finished(workspace, "c" * 16, accuracy=0.9421)
    gate.check(workspace, "net", run, gate.parse({"accuracy": ">= 0.94"}))
    said = refused(workspace, run, accuracy=">= 0.97")
    assert said == f"model net is held back: run {run} has accuracy 0.9421, which is not >= 0.97"


def test_missing_or_nan_metric_fails_the_gate(workspace):
    run = finished(workspace, "c" * 16, loss=float("nan"))
    assert "no metric accuracy (it logged loss)" in refused(workspace, run, accuracy="> 0.5")
    assert "loss nan" in refused(workspace, run, loss="< 1")


def test_a_version_is_compared_with_the_one_in_production(two):
    aliases.move(two, "net", {"production": 2})
    worse = finished(two, "c" * 16, accuracy=0.975, loss=0.001)
    said = refused(two, worse, accuracy_vs="production", loss="< 0.5")
    assert "accuracy 0.975, which is not >= 0.98 of production (version 2)" in said
    gate.check(two, "net", worse, gate.parse({"loss_vs": "< production"}))
    gate.check(two, "net", "b" * 16, gate.parse({"accuracy_vs": "> production"}))


def test_a_first_version_has_no_rival(two):
    gate.check(two, "net", "a" * 16, gate.parse({"accuracy_vs": "production"}))


@pytest.mark.parametrize(("key", "text"), [("accuracy", "0.97"), ("accuracy", "=> 0.97"), ("accuracy", "production")])
def test_a_condition_that_cannot_be_read_is_named(key, text):
    with pytest.raises(InvalidInputError, match=key):
        gate.parse({key: text})


def test_aliases_move_with_a_history(two):
    aliases.move(two, "net", {"production": 1, "candidate": 2})
    aliases.move(two, "net", {"production": 2}, olds={"production": 1, "candidate": 2})
    assert aliases.read(two, "net") == {"production": 2}
    assert [(it["alias"], it["from"], it["to"]) for it in aliases.read_history(two, "net")] == [
        ("candidate", None, 2),
        ("production", None, 1),
        ("candidate", 2, None),
        ("production", 1, 2),
    ]


def test_an_alias_of_a_version_that_is_not_there_moves_nothing(two):
    aliases.move(two, "net", {"production": 1})
    with pytest.raises(NotFoundError, match="no version 7"):
        aliases.move(two, "net", {"production": 7})
    assert aliases.read(two, "net") == {"production": 1}


def test_a_version_with_an_alias_is_not_purged(two):
    aliases.move(two, "net", {"production": 1})
    with pytest.raises(InUseError, match="it is its production"):
        purge.check(two, purge.models(two, "net", 1))


@pytest.mark.parametrize("wanted", [{"latest": 1}, {"v2": 1}, {"a b": 1}, {"production": 0}, {"production": "newest"}])
def test_an_alias_that_cannot_be_is_refused(wanted):
    with pytest.raises(InvalidInputError):
        aliases.validated(wanted)
