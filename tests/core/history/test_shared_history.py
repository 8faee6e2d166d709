"""Machines that share a workspace in a store: each one's own history has the runs and models of all."""

from pathlib import Path

import pytest
from tests.core.history.conftest import values
from tests.core.replication.test_copies import trained
from tests.waiting import until

from trainstack.core.history import shared_changes
from trainstack.core.history.shared_changes import SharedChanges
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.replication.shared import RECORDS, created, opened, updating
from trainstack.core.runs.execution import submission
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.queue import MODEL_PREFIX
from trainstack.storage.cache import cache_folder
from trainstack.storage.object_store.store import ObjectStore

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def environments():
    """Where this machine really has its environments: MLflow's takes a minute to build."""
    return cache_folder() / "environments"


@pytest.fixture
def machine(environments, machine, tmp_path):
    """Makes this process another machine, which has the environments of this one."""

    def become(name):
        there = tmp_path / name / "environments"
        there.parent.mkdir(exist_ok=True)
        if environments.is_dir() and not there.exists():
            there.symlink_to(environments)
        return machine(name)

    return become


def queued(changes, folder):
    """What a look puts into the queue, which is empty then."""
    folder.mkdir(exist_ok=True)
    changes.queue(folder)
    entries = {entry.name for entry in folder.iterdir()}
    for name in entries:
        (folder / name).unlink()
    return entries


def test_what_others_change_is_queued_once(machine, monkeypatch, tmp_path, bucket_address):
    monkeypatch.setattr(shared_changes, "LOOK_SECONDS", 0.0)
    first = created(machine("a"), "team")
    with updating(first, "runs/r1", print):
        trained(first, "r1")
    second = opened(machine("b"))
    second.history.mkdir(exist_ok=True)
    changes, pending = SharedChanges(second, ObjectStore(bucket_address)), tmp_path / "pending"
    assert queued(changes, pending) == {"r1"}
    assert queued(changes, pending) == set()
    with updating(first, "runs/r2", print):
        trained(first, "r2")
    with updating(first, RECORDS, print):
        model.register(first, ModelSpec(name="net"), Path("outputs/model"), "r1")
    assert queued(changes, pending) == {"r2", f"{MODEL_PREFIX}net"}
    # Another process of this machine goes on from what was noted.
    assert queued(SharedChanges(second, ObjectStore(bucket_address)), pending) == set()
    changes.forget()
    assert queued(changes, pending) == {"r1", "r2", f"{MODEL_PREFIX}net"}


def test_a_run_that_goes_on_elsewhere_is_queued_at_each_look(machine, monkeypatch, tmp_path, bucket_address):
    monkeypatch.setattr(shared_changes, "LOOK_SECONDS", 0.0)
    first = created(machine("a"), "team")
    with updating(first, "runs/r1", print):
        second = opened(machine("b"))
        second.history.mkdir(exist_ok=True)
        ObjectStore(bucket_address).create("index/runs/open/r1/one", b"")
        changes, pending = SharedChanges(second, ObjectStore(bucket_address)), tmp_path / "pending"
        assert [queued(changes, pending) for _ in range(2)] == [{"r1"}, {"r1"}]
        trained(first, "r1")
    # Its mark stays behind as a killed writer's: it is looked at once more, and then left alone.
    assert [queued(changes, pending) for _ in range(2)] == [{"r1"}, set()]


def test_the_history_of_one_machine_shows_runs_of_another(machine, monkeypatch, request_for, source):
    first = created(machine("a"), "team")

    def train(units):
        machine("a")
        request = request_for({"--steps": 2, "--units": units})
        with updating(first, f"runs/{request.spec.run_id}", print):
            submission.follow(submission.submit(first, request, source, {}).directory)
        return request.spec.run_id

    before = train(1)
    second = opened(machine("b"))
    tracking_server.ensure(second)
    try:
        server = tracking_server.connect(second)

        def metrics(run_id):
            experiment = server.experiment(second.name)
            answer = server.post(
                "runs/search",
                experiment_ids=[experiment],
                filter=f"tags.`trainstack.run_id` = '{run_id}'",
                max_results=9,
            )
            return [values(run, "metrics") for run in answer.get("runs", []) if run["info"]["status"] == "FINISHED"]

        until(lambda: metrics(before), 60)
        after = train(2)
        until(lambda: metrics(after), 90)
        assert [metrics(run)[0]["loss"] for run in (before, after)] == [0.5, 0.5]
    finally:
        machine("b")
        tracking_server.stop(second)
