"""The index of runs says what the records say."""

import os

import pytest
from tests.core.sample_runs import printed
from tests.waiting import until

from trainstack.core.runs import index
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.execution import submission
from trainstack.core.runs.record import RunRecord, Status


def placed(workspace, number, status=Status.COMPLETED, name="net"):
    run = RunDirectory(workspace.run(f"{number:016x}"))
    run.write(RunRecord(id=run.id, name=name, status=status, created=number, updated=number, attempt=1))
    return run


@pytest.fixture
def many(workspace):
    for number in range(5):
        placed(workspace, number)
    placed(workspace, 5, Status.FAILED)
    placed(workspace, 6, name="other")
    return workspace


def test_runs_are_listed_newest_first_and_filtered(many):
    for _ in range(2):
        assert [record.created for record in index.newest(many)] == [6, 5, 4, 3, 2, 1, 0]
        assert [record.created for record in index.newest(many, limit=2)] == [6, 5]
        assert [record.created for record in index.newest(many, ["failed"])] == [5]
        assert [record.created for record in index.newest(many, name="other")] == [6]
        assert [record.created for record in index.newest(many, ["completed"], "net", 2)] == [4, 3]
    assert index.count(many) == 7


def test_new_and_removed_runs_are_noticed(many):
    index.newest(many)
    placed(many, 9)
    (many.run(f"{0:016x}") / "run.json").unlink()
    many.run(f"{0:016x}").rmdir()
    assert [record.created for record in index.newest(many)] == [9, 6, 5, 4, 3, 2, 1]


def test_an_unchanged_folder_is_not_listed_again(many, monkeypatch):
    os.utime(many.runs, (1_000_000, 1_000_000))
    assert len(index.newest(many)) == 7
    with monkeypatch.context() as patched:
        patched.setattr(index, "_ids", pytest.fail)
        index.forget(many, f"{3:016x}")
        placed(many, 3, Status.FAILED)
        assert {record.created: record.status for record in index.newest(many)}[3] is Status.FAILED
    placed(many, 8)
    assert index.newest(many)[0].created == 8


def test_a_damaged_index_is_no_harm(many):
    index.newest(many)
    (many.root / "cache" / "runs.db").write_bytes(b"no database" * 1000)
    assert len(index.newest(many)) == 7


def test_a_retried_run_is_listed_with_its_current_status(workspace, request_for, source):
    request = request_for({"--exit": 3})
    run = submission.submit(workspace, request, source, {}).directory
    until(lambda: run.read().status.ended)
    assert [record.status for record in index.newest(workspace)] == [Status.FAILED]
    submission.submit(workspace, request, source, {})
    assert index.newest(workspace)[0].attempt in (1, 2)
    until(lambda: run.read().attempt == 2 and run.read().status.ended)
    assert [record.attempt for record in index.newest(workspace)] == [2]
    assert printed(run, "about to fail")
