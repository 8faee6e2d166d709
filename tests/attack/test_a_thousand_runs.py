"""A workspace with a history of 1,000 runs, some of them damaged: no command stands still or leaves one out."""

import json
import os

import pytest
from tests.core.sample_runs import SCRIPT, request, tiny_environment
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.runs import index
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.atomic import read_json

COUNT = 1000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = Workspace.create(tmp_path_factory.mktemp("history") / "ws", "ws")
    for number in range(COUNT):
        run = RunDirectory(made.run(f"{number:016x}"))
        run.root.mkdir(parents=True)
        record = RunRecord(
            id=run.id,
            name=f"sweep-{number % 10}",
            status=Status.COMPLETED if number % 2 else Status.FAILED,
            created=number,
            updated=number,
            attempt=1,
        )
        (run.root / "run.json").write_text(record.model_dump_json())
        (run.root / "spec.json").write_text('{"spec": {"files": {}}}')
    return made


def run_json(workspace, *command):
    done = CliRunner().invoke(app, [*command, "--json", "--workspace", str(workspace.root)], catch_exceptions=False)
    return done.exit_code, json.loads(done.stdout)


def test_every_run_is_listed_and_a_second_list_reads_no_record_again(workspace, monkeypatch):
    code, listed = run_json(workspace, "runs", "list")
    assert (code, len(listed)) == (0, COUNT)
    code, listed = run_json(workspace, "runs", "list", "--name", "sweep-7", "--limit", "5")
    assert [record["name"] for record in listed] == ["sweep-7"] * 5
    os.utime(workspace.runs, (1_000_000, 1_000_000))
    index.newest(workspace)
    reads = []
    monkeypatch.setattr("trainstack.core.runs.directory.read_json", lambda path: reads.append(path) or read_json(path))
    assert len(index.newest(workspace)) == COUNT
    assert not reads


def test_damaged_records_hide_no_others_and_are_named(workspace):
    damaged = {f"{number:016x}" for number in range(0, COUNT, 100)}
    for name in damaged:
        (workspace.run(name) / "run.json").write_text("[" * 100_000)
        index.forget(workspace, name)
    code, listed = run_json(workspace, "runs", "list")
    assert code == 0
    assert len({record["id"] for record in listed} - damaged) == COUNT - len(damaged)
    code, checked = run_json(workspace, "fsck")
    assert code == 1
    assert damaged <= {item["path"].split("/")[-2] for item in checked["damages"]}


def test_one_more_run_trains(workspace, tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    asked = request(tiny_environment(), tmp_path)
    run = submission.submit(workspace, asked, tmp_path, {}).directory
    assert submission.follow(run).status is Status.COMPLETED
    assert index.newest(workspace, limit=1)[0].id == run.id
