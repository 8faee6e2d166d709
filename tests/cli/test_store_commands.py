"""`gc`, `fsck`, `purge`: what they say, what they ask, how they end."""

import json

import pytest
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.datasets import dataset
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.storage.digest import of_bytes


@pytest.fixture
def orphan(workspace, tmp_path):
    (tmp_path / "orphan").write_bytes(bytes(2500))
    return workspace.blobs.add(tmp_path / "orphan")


@pytest.fixture
def registered(workspace, tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "weights").write_bytes(b"weights")
    return model.register(workspace, ModelSpec(name="net"), tmp_path / "net")


def answered(answer, *words):
    return CliRunner().invoke(app, list(words), input=answer, prog_name="trainstack")


def test_gc_only_lists_unless_told_to_delete(workspace, orphan, cli, json_output):
    listed = cli("gc")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert listed.stdout.splitlines()[-1] == "would reclaim 2.5 kB (2,500 bytes): run it again with --delete"
    assert workspace.blobs.has(orphan)
    item = {"kind": "blob", "path": str(workspace.blobs.path(orphan)), "bytes": 2500}
    assert json_output("gc") == {"deleted": False, "bytes": 2500, "items": [item]}
    assert json_output("gc", "--delete") == {"deleted": True, "bytes": 2500, "items": [item]}
    assert not workspace.blobs.has(orphan)
    assert cli("gc").stdout == "nothing to reclaim in workspace tests\n"
    assert cli("gc", "--delete").stdout == "reclaimed 0 bytes (0 bytes)\n"


def test_gc_takes_environments_only_when_asked(workspace, tmp_path, monkeypatch, cli, json_output):
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    broken = tmp_path / "cache" / "environments" / ("a" * 64)
    broken.mkdir(parents=True)
    (broken / "file").write_bytes(b"123")
    assert json_output("gc", "--delete")["items"] == []
    assert json_output("gc", "--environments", "30")["bytes"] == 3
    assert broken.exists()
    assert "unused training environment" in cli("gc", "--environments", "30", "--delete").stdout
    assert not broken.exists()
    assert cli("gc", "--environments", "0").exit_code == 2


def test_gc_does_nothing_when_a_record_is_damaged(workspace, orphan, registered, cli):
    (workspace.model("net") / "1" / "model.json").write_text("{")
    result = cli("gc", "--delete")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert "model.json is damaged" in result.stderr
    assert workspace.blobs.has(orphan)


def test_fsck_of_a_whole_workspace_ends_with_0(registered, cli, json_output):
    result = cli("fsck")
    assert (result.exit_code, result.stdout) == (0, "2 files, 7 bytes read: all whole\n")
    assert json_output("fsck") == {"whole": True, "files": 2, "bytes": 7, "damages": [], "repaired": []}


def test_fsck_ends_with_1_and_says_what_to_do_for_each(workspace, registered, cli):
    [digest] = workspace.blobs
    workspace.blobs.path(digest).unlink()
    (workspace.model("net") / "1" / "files" / "weights").unlink()
    result = cli("fsck")
    assert result.exit_code == 1
    assert "no whole copy is left" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("1 damaged")
    in_json = cli("fsck", "--json")
    assert in_json.exit_code == 1
    [damage] = json.loads(in_json.stdout)["damages"]
    assert (damage["kind"], damage["name"], damage["problem"]) == ("model", "net version 1: weights", "gone")
    assert damage["advice"]


def test_fsck_repair_writes_a_damaged_run_record_anew(workspace, written, cli, json_output):
    run, other = written("00aa"), written("00bb")
    digest = of_bytes(b"weights")
    run.event("submitted", name="mnist", tags={})
    run.event(
        "end", status="completed", attempt=1, reason="", duration=1.5, metrics={"loss": 0.1}, outputs={"w": digest}
    )
    run.outputs.mkdir()
    (run.outputs / "w").write_bytes(b"weights")
    for directory in (run, other):
        (directory.root / "run.json").write_text("[" * 100_000)
    advice = {item["path"]: item["advice"] for item in json.loads(cli("fsck", "--json").stdout)["damages"]}
    assert advice[str(run.root / "run.json")] == "`trainstack fsck --repair` writes it anew"
    assert "no history" in advice[str(other.root / "run.json")]
    repaired = json.loads(cli("fsck", "--repair", "--json").stdout)
    note = "run.json was damaged and is kept as run.json.damaged-1; written anew, complete"
    assert repaired["repaired"] == [{"path": str(run.root / "run.json"), "note": note}]
    assert str(run.root / "run.json") not in [item["path"] for item in repaired["damages"]]
    assert run.read_file().outputs == {"w": digest}
    assert json.loads(cli("fsck", "--repair", "--json").stdout)["repaired"] == []


def test_purge_asks_and_a_no_keeps_everything(workspace, registered):
    result = answered("n\n", "purge", "--model", "net")
    assert result.exit_code != 0
    assert "model net version 1" in result.stdout
    assert "Delete for good? [y/N]" in result.stdout
    assert model.find(workspace, "net") == registered
    result = answered("y\n", "purge", "--model", "net")
    assert result.exit_code == 0
    assert "purged model net version 1" in result.stdout
    assert model.list_models(workspace) == []


def test_purge_takes_a_run_by_its_name(workspace, written, cli, json_output):
    directory = written("0123456789abcdef")
    assert cli("purge", "mnist", "--yes").exit_code == 0
    assert not directory.root.exists()
    written("00aa")
    [gone] = json_output("purge", "00", "--yes")
    assert (gone["kind"], gone["name"], gone["version"]) == ("run", "00aa", None)


def test_purge_takes_one_version_of_a_dataset(workspace, tmp_path, json_output):
    (tmp_path / "data").mkdir()
    for content in ("one", "two"):
        (tmp_path / "data" / "a.csv").write_text(content)
        dataset.register(workspace, DatasetSpec(name="data", paths=(str(tmp_path / "data"),)))
    [gone] = json_output("purge", "--dataset", "data:1", "--yes")
    assert (gone["name"], gone["version"]) == ("data", 1)
    assert [record.version for record in dataset.list_datasets(workspace)] == [2]


def test_purge_refuses_a_run_that_is_running_before_it_asks(workspace, written, holding, cli):
    directory = written("0123456789abcdef")
    with holding(directory.root / "lock"):
        result = cli("purge", "mnist")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "it is running, `trainstack runs stop 0123456789abcdef` ends it" in result.stderr
    assert directory.exists()


@pytest.mark.parametrize(
    "words",
    [(), ("r1", "--model", "net"), ("--model", "net:x"), ("--model", ":1"), ("--dataset", "data:0"), ("r1", "--json")],
    ids=" ".join,
)
def test_purge_of_nothing_that_can_be_meant_is_wrong_use(workspace, cli, words):
    result = cli("purge", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr
