"""What a run did is on the server, and whatever is killed, it comes there."""

import os
import signal
import subprocess
import time

from tests.core.history.conftest import values
from tests.core.sample_runs import printed
from tests.waiting import until

from trainstack.core.maintenance import purge
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.execution import submission
from trainstack.core.tracking import tracking_server
from trainstack.storage.atomic import read_json


def ended(run):
    return run["info"]["status"] not in ("RUNNING", "SCHEDULED")


def trained(workspace, request, source) -> RunDirectory:
    done = submission.submit(workspace, request, source, {})
    submission.follow(done.directory)
    return done.directory


def test_a_run_is_shown_with_what_it_is_and_what_it_logged(workspace, server, request_for, source, shown):
    request = request_for({"--steps": 3}).model_copy(
        update={"tags": {"user": "ada", "commit": "c0ffee", "stack": "dev"}}
    )
    run = trained(workspace, request, source)
    [there] = shown("trainstack.run_id", run.id, ended)
    assert there["info"]["status"] == "FINISHED"
    assert values(there, "params") == {"steps": "3", "units": "8"}
    metrics = values(there, "metrics")
    assert metrics["loss"] == 1 / 3
    assert metrics["accuracy"] == 0.75
    assert metrics["odd"] == "NaN"
    # As MLflow's own page groups them.
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100
    assert metrics["system/system_memory_usage_megabytes"] > 0
    assert "system/cpu_utilization_percentage" not in run.read().metrics
    tags = values(there, "tags")
    assert tags["mlflow.user"] == "ada"
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert tags["trainstack.stack"] == "dev"
    assert tags["trainstack.fingerprint"].startswith(run.id)
    assert tags["trainstack.stage.running"].endswith(" s")
    points = server.get("metrics/get-history", run_id=there["info"]["run_id"], metric_key="loss")["metrics"]
    assert [(point["step"], point["value"]) for point in points] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    listed = server.get("artifacts/list", run_id=there["info"]["run_id"], path="outputs")
    assert [file["path"] for file in listed["files"]] == ["outputs/model.txt", "outputs/pid"]
    for folder, file in (("code", "train.py"), ("logs", "run.txt"), ("outputs", "model.txt")):
        [link] = (workspace.history / "artifacts" / there["info"]["experiment_id"]).glob(
            f"{there['info']['run_id']}/artifacts/{folder}/{file}"
        )
        assert link.samefile(run.root / folder / file), "no second copy"
    [child] = shown("mlflow.parentRunId", there["info"]["run_id"])
    assert child["info"]["run_name"] == "fold 1"
    assert values(child, "metrics") == {"fold_loss": 0.5}


def test_metrics_are_there_while_the_run_goes_on(workspace, server, request_for, source, shown):
    submitted = submission.submit(workspace, request_for({"--steps": 400, "--pause": 0.1}), source, {})
    [there] = shown("trainstack.run_id", submitted.directory.id, lambda run: "loss" in values(run, "metrics"))
    assert there["info"]["status"] == "RUNNING"
    submission.stop(submitted.directory, "seen enough")
    [there] = shown("trainstack.run_id", submitted.directory.id, ended)
    assert there["info"]["status"] == "KILLED"
    assert values(there, "tags")["trainstack.reason"] == "seen enough"


def test_a_killed_attempt_shows_beside_the_resumed_run(workspace, server, request_for, source, shown):
    request = request_for({"--steps": 30, "--pause": 0.05}, max_attempts=2, backoff=0)
    submitted = submission.submit(workspace, request, source, {})
    run = submitted.directory
    until(lambda: printed(run, "step 3"))
    pid = int((run.outputs / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    submission.follow(run)
    [there] = shown("trainstack.run_id", run.id, ended)
    assert there["info"]["status"] == "FINISHED"
    [attempt] = shown("trainstack.attempt_of", f"{run.id}/1", ended)
    assert attempt["info"]["status"] == "KILLED"


def test_no_metric_is_lost_when_the_daemon_is_killed(workspace, server, request_for, source, shown):
    submitted = submission.submit(workspace, request_for({"--steps": 80, "--pause": 0.05}), source, {})
    run = submitted.directory
    until(lambda: printed(run, "step 5"))
    keeper = read_json(workspace.history / tracking_server.STATUS_FILE)["pid"]
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not server.healthy())
    submission.follow(run)
    assert tracking_server.ensure(workspace) == server.uri
    [there] = shown("trainstack.run_id", run.id, ended)
    points = server.get("metrics/get-history", run_id=there["info"]["run_id"], metric_key="loss")["metrics"]
    assert [point["step"] for point in points] == list(range(1, 81))


def test_a_server_that_is_killed_alone_comes_again(workspace, server):
    keeper = read_json(workspace.history / tracking_server.STATUS_FILE)["pid"]
    [pid] = subprocess.run(["pgrep", "-P", str(keeper)], capture_output=True, text=True).stdout.split()
    os.kill(int(pid), signal.SIGKILL)
    time.sleep(0.2)
    assert tracking_server.ensure(workspace) == server.uri


def test_the_history_can_be_built_anew_from_the_run_directories(workspace, server, request_for, source, shown):
    run = trained(workspace, request_for({"--steps": 2}), source)
    [before] = shown("trainstack.run_id", run.id, ended)
    tracking_server.stop(workspace)
    tracking_server.reset(workspace)
    tracking_server.ensure(workspace)
    [after] = shown("trainstack.run_id", run.id, ended)
    assert values(after, "metrics") == values(before, "metrics")
    assert values(after, "params") == values(before, "params")


def test_a_purged_run_is_gone_from_the_history(workspace, server, request_for, source, shown):
    run = trained(workspace, request_for({"--steps": 1}), source)
    shown("trainstack.run_id", run.id, ended)
    purge.purge(workspace, purge.run(workspace, run))
    until(lambda: server.find_run(server.experiment(workspace.name), "trainstack.run_id", run.id) is None)


def test_destroy_leaves_no_process(workspace, server):
    tracking_server.stop(workspace)
    assert not tracking_server.running(workspace)
    assert not server.healthy()
    tracking_server.stop(workspace)
    assert tracking_server.ensure(workspace) == server.uri
