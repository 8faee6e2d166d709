"""What a script logs through its client is on the server as the script said it, and one run holds up no other."""

import contextlib
import os

import pytest
from tests.core.history.conftest import values
from tests.waiting import until

from trainstack.core.history import mirror
from trainstack.core.history.mirror import Mirror
from trainstack.core.history.retries import Retries
from trainstack.core.maintenance import purge
from trainstack.core.runs.execution import submission
from trainstack.core.tracking import tracking_server
from trainstack.errors import RunFailedError, TrackingError

SEEDS = """
import mlflow
from mlflow.tracking import MlflowClient
for seed in (1, 2, 3):
    with mlflow.start_run(run_name=f"seed {seed}") as run:
        mlflow.log_param("seed", seed)
        mlflow.log_metric("score", seed / 10)
        mlflow.log_text(f"{seed}", "seed.txt")
client = MlflowClient()
client.set_tag(run.info.run_id, "mlflow.runName", "the last")
client.set_terminated(run.info.run_id, "FAILED")
"""
TWO_VALUES = """
import os, pathlib, mlflow
mlflow.log_param("by", os.getpid())
mlflow.log_param("units", 8)
if not pathlib.Path("outputs/once").exists():
    pathlib.Path("outputs/once").touch()
    os.kill(os.getpid(), 9)
mlflow.log_metric("loss", 0.5)
"""
LATE = """
import pathlib, time, mlflow
mlflow.log_metric("loss", 0.5)
while not pathlib.Path("outputs/go").exists():
    time.sleep(0.05)
mlflow.log_param("late", "x" * 6000)
mlflow.set_tag("late", "yes")
mlflow.set_tag("mlflow.note.content", "The script's own note.")
mlflow.set_tag("trainstack.fingerprint", "forged")
mlflow.set_tag("trainstack.stack", "forged")
mlflow.set_tag("mlflow.user", "forged")
"""
EVERYTHING = """
import os, mlflow
from mlflow.tracking import MlflowClient
with mlflow.start_run(run_name="outer") as outer:
    mlflow.log_metric("loss", 0.5)
    with mlflow.start_run(nested=True, run_name="inner"):
        mlflow.log_metric("loss", 0.25)
    MlflowClient().create_logged_model("0", name="net", source_run_id=outer.info.run_id)
    with mlflow.start_span("call"):
        pass
    mlflow.flush_trace_async_logging()
for seed in (1, 2):
    mlflow.start_run(run_name=f"seed {seed}")
    mlflow.log_metric("score", seed)
    if seed == 2:
        os.kill(os.getpid(), 9)
    mlflow.end_run()
"""
LINK = """
import os, mlflow
mlflow.log_text("seen", "seen.txt")
os.symlink("/etc/passwd", mlflow.get_artifact_uri("leaked.txt").removeprefix("file://"))
"""


@pytest.fixture
def train(workspace, request_for, source, server):
    """Submits a run of a script, without waiting for its end."""

    def submit(script, **given):
        (source / "train.py").write_text(script)
        return submission.submit(workspace, request_for({}, **given), source, {}).directory

    return submit


def ended(run):
    return run["info"]["status"] not in ("RUNNING", "SCHEDULED")


def test_further_runs_of_a_rank_are_child_runs_and_hold_up_no_later_run(workspace, server, train, shown):
    run = train(SEEDS)
    submission.follow(run)
    [first] = shown("trainstack.run_id", run.id, ended)
    assert (first["info"]["status"], first["info"]["run_name"]) == ("FINISHED", "seed 1")
    assert values(first, "params") == {"seed": "1"}
    assert values(first, "metrics")["score"] == 0.1
    assert "trainstack.untold" not in values(first, "tags")
    children = {child["info"]["run_name"]: child for child in shown("mlflow.parentRunId", first["info"]["run_id"])}
    assert {name: (values(child, "params"), values(child, "metrics")) for name, child in children.items()} == {
        "seed 2": ({"seed": "2"}, {"score": 0.2}),
        "the last": ({"seed": "3"}, {"score": 0.3}),
    }
    assert children["the last"]["info"]["status"] == "FAILED"
    assert children["seed 2"]["info"]["end_time"] >= children["seed 2"]["info"]["start_time"] > 0
    for each, seed in ((first, "1"), (children["seed 2"], "2"), (children["the last"], "3")):
        folder = workspace.history / "artifacts" / each["info"]["experiment_id"] / each["info"]["run_id"]
        assert (folder / "artifacts" / "seed.txt").read_text() == seed


def test_a_value_that_the_server_refuses_is_named_and_all_others_arrive(server, train, shown):
    run = train(TWO_VALUES, max_attempts=2, backoff=0)
    submission.follow(run)
    [there] = shown("trainstack.run_id", run.id, ended)
    assert there["info"]["status"] == "FINISHED"
    assert values(there, "metrics")["loss"] == 0.5
    assert values(there, "params")["units"] == "8"
    untold = values(there, "tags")["trainstack.untold"]
    assert untold.startswith("parameter by: ")
    assert "units" not in untold


def test_what_a_script_says_late_is_told_and_what_only_we_say_is_not_forged(server, train, shown):
    run = train(LATE)
    shown("trainstack.run_id", run.id, lambda there: "loss" in values(there, "metrics"))
    (run.outputs / "go").touch()
    submission.follow(run)
    [there] = shown("trainstack.run_id", run.id, ended)
    assert values(there, "params")["late"] == "x" * 6000
    tags = values(there, "tags")
    assert tags["late"] == "yes"
    assert tags["mlflow.note.content"].startswith("The script's own note.\n\n`trainstack runs show")
    assert tags["trainstack.fingerprint"].startswith(run.id)
    assert "forged" not in tags.values()


def test_an_entry_that_fails_is_left_after_a_few_tries_while_others_go_on(workspace, server, tmp_path, monkeypatch):
    ours = Mirror(workspace, server, None)
    now = [0.0]
    ours._retries = Retries(lambda: now[0])
    ours._pending = tmp_path
    done = []

    def sync_entry(name):
        if name == "refused":
            raise TrackingError("no", "INVALID_PARAMETER_VALUE")
        if name == "broken":
            raise KeyError(name)
        done.append(name)
        return True

    monkeypatch.setattr(ours, "_sync_entry", sync_entry)
    for name in ("broken", "refused", "whole"):
        (tmp_path / name).touch()
    ours.sync()
    assert done == ["whole"]
    for _ in range(8):
        now[0] += 10
        ours.sync()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", ["", *mirror._OF_THE_SERVER])
def test_a_server_that_answers_nobody_keeps_every_entry_pending(workspace, server, tmp_path, monkeypatch, code):
    ours = Mirror(workspace, server, None)
    ours._pending = tmp_path
    (tmp_path / "run").touch()

    def refuse(_):
        raise TrackingError("no", code)

    monkeypatch.setattr(ours, "_sync_entry", refuse)
    with pytest.raises(TrackingError):
        ours.sync()
    assert (tmp_path / "run").exists()


def test_an_entry_is_due_later_and_later():
    now = [0.0]
    retries = Retries(lambda: now[0])
    waits = []
    while retries.later("run"):
        start = now[0]
        while retries.waits("run"):
            now[0] += 0.5
        waits.append(now[0] - start)
    assert waits == [1, 2, 4, 8]
    assert not retries.waits("run")


def test_a_link_among_artifacts_is_not_on_the_page(workspace, train, shown):
    run = train(LINK)
    submission.follow(run)
    [there] = shown("trainstack.run_id", run.id, ended)
    folder = workspace.history / "artifacts" / there["info"]["experiment_id"] / there["info"]["run_id"] / "artifacts"
    assert (folder / "seen.txt").read_text() == "seen"
    assert not os.path.lexists(folder / "leaked.txt")


def test_what_a_killed_run_logged_comes_again_by_a_rebuild_and_goes_by_a_purge(workspace, server, train, shown):
    run = train(EVERYTHING)
    with contextlib.suppress(RunFailedError):
        submission.follow(run)

    def contents():
        [there] = shown("trainstack.run_id", run.id, ended)
        experiment = there["info"]["experiment_id"]
        logged = server.post(
            "runs/search", experiment_ids=[experiment], filter=f"tags.`trainstack.logged` LIKE '{run.id}/%'"
        )
        runs = {each["info"]["run_name"]: each["info"]["status"] for each in logged.get("runs", [])}
        return there["info"]["run_name"], there["info"]["status"], runs, *of_script(experiment)

    def of_script(experiment):
        models = server.post(
            "logged-models/search", experiment_ids=[experiment], filter=f"tags.`trainstack.logged` LIKE '{run.id}/%'"
        )
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        traces = server.post(
            "/api/3.0/mlflow/traces/search", locations=[place], filter=f"tags.`trainstack.run_id` = '{run.id}'"
        )
        return len(models.get("models", [])), len(traces.get("traces", []))

    expected = ("outer", "FAILED", {"inner": "FINISHED", "seed 1": "FINISHED", "seed 2": "FAILED"}, 1, 1)
    assert contents() == expected
    tracking_server.stop(workspace)
    tracking_server.reset(workspace)
    tracking_server.ensure(workspace)
    assert contents() == expected
    experiment = server.experiment(workspace.name)
    purge.purge(workspace, purge.run(workspace, run))
    until(lambda: server.find_run(experiment, "trainstack.run_id", run.id) is None)
    until(lambda: of_script(experiment) == (0, 0))
    left = server.post("runs/search", experiment_ids=[experiment], filter=f"tags.`trainstack.logged` LIKE '{run.id}/%'")
    assert left.get("runs", []) == []
