"""Promotion: the same bytes in another workspace, or a refusal."""

import shutil

import pytest

from trainstack.core.models import model
from trainstack.core.models.model_record import ModelSpec
from trainstack.core.models.promotion import TAG, Promotion, metrics, promote
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import DigestMismatchError, NotFoundError


def silent(_):
    pass


@pytest.fixture
def dev(tmp_path):
    return Workspace.create(tmp_path / "dev", "dev")


@pytest.fixture
def prod(tmp_path):
    return Workspace.create(tmp_path / "prod", "prod")


def made(workspace, content, number=1):
    """A model of a run in `workspace`, as its stack exports it."""
    directory = RunDirectory(workspace.run(f"r{number}"))
    (directory.outputs / "model").mkdir(parents=True)
    (directory.outputs / "model" / "weights").write_text(content)
    directory.write(
        RunRecord(id=f"r{number}", name="fit", status=Status.COMPLETED, created=1, updated=2, metrics={"accuracy": 0.9})
    )
    spec = ModelSpec(name="net", framework_version="2.15", tags={"team": "vision"}, sample_input={"instances": [[1]]})
    record = model.register(workspace, spec, directory.root.relative_to(directory.root) / "outputs/model", f"r{number}")
    return Promotion(name="net", version=record.version, digest=record.digest, path=record.path)


def test_the_same_bytes_and_what_serving_needs_are_taken_over(dev, prod):
    record = promote(prod, "shop", made(dev, "one"), silent)
    assert (record.name, record.version, record.framework_version) == ("shop", 1, "2.15")
    assert record.sample_input == {"instances": [[1]]}
    assert record.tags == {"team": "vision", TAG: "net version 1"}
    assert record.digest == model.find(dev, "net", 1).digest
    assert not prod.runs.exists()


def test_going_back_finds_the_version_that_there_was(dev, prod):
    first, second = made(dev, "one", 1), made(dev, "two", 2)
    assert [promote(prod, "net", one, silent).version for one in (first, second, first, second)] == [1, 2, 1, 2]
    assert len(model.list_models(prod)) == 2


def test_the_workspace_that_has_the_model_keeps_its_version(dev):
    first = made(dev, "one", 1)
    made(dev, "two", 2)
    assert promote(dev, "net", first, silent).version == 1
    assert len(model.list_models(dev)) == 2


def test_what_was_promoted_does_not_need_its_source_any_more(dev, prod):
    promotion = made(dev, "one")
    promote(prod, "net", promotion, silent)
    shutil.rmtree(dev.root)
    assert promote(prod, "net", promotion, silent).version == 1


def test_promotion_of_wrong_bytes_registers_nothing(dev, prod):
    promotion = made(dev, "one")
    changed = promotion.model_copy(update={"digest": "0" * 64})
    with pytest.raises(DigestMismatchError, match="not 000000000000"):
        promote(prod, "net", changed, silent)
    weights = model.find(dev, "net").path + "/weights"
    with open(weights, "r+") as file:  # noqa: PTH123 (written over through the link, as a careless user does)
        file.write("two")
    with pytest.raises(DigestMismatchError, match="as registered"):
        promote(prod, "net", promotion, silent)
    assert model.list_models(prod) == []


def test_a_workspace_out_of_sight_is_said_to_be(prod, tmp_path):
    away = Promotion(name="net", version=3, digest="0" * 64, path=str(tmp_path / "away" / "files"))
    with pytest.raises(NotFoundError, match="net version 3 is not at"):
        promote(prod, "net", away, silent)
    assert metrics(away) == {}


def test_metrics_of_the_run_that_made_it_are_told(dev):
    assert metrics(made(dev, "one")) == {"accuracy": 0.9}
