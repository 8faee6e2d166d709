"""Kill tracking server, keeper, sweep driver and supervisors at random moments of a sweep whose trials log epochs.

No metric of a finished epoch is lost, neither in the files nor on the server, and no epoch is trained twice.
`CHAOS_N // 5` kills, at least four.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter

import pytest
from tests.core.sample_runs import request
from tests.waiting import until

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.sweeps import sweep
from trainstack.core.sweeps.record import Search, SweepDirectory, SweepRequest
from trainstack.core.tracking import tracking_server
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.mlflow import metric_files as tracking
from trainstack.storage import locks
from trainstack.storage.atomic import read_json

KILLS = max(4, int(os.environ.get("CHAOS_N", "12")) // 5)
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
EPOCHS = 4
KINDS = ("driver", "server", "keeper", "supervisor")
# An epoch is finished when it is logged and saved; the file beside says how often each was trained.
SCRIPT = """
import os, pathlib, sys, time
import mlflow
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
saved = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "epoch")
first = int(saved.read_text()) if saved.exists() else 0
for epoch in range(first + 1, int(arguments["--epochs"]) + 1):
    time.sleep(0.3)
    mlflow.log_metrics({"score": float(arguments["--rate"]) + epoch, "epoch": epoch}, step=epoch)
    with pathlib.Path("outputs/trained").open("a") as trained:
        trained.write(f"{epoch}\\n")
    saved.with_name("aside").write_text(str(epoch))
    saved.with_name("aside").replace(saved)
"""


def pids_of(kind: str, workspace: Workspace, directory: SweepDirectory) -> list[int]:
    """The living processes of a kind."""
    if kind == "supervisor":
        runs = [RunDirectory(workspace.run(trial.run_id)) for trial in directory.read().trials]
        found = [run.read() for run in runs if run.has_supervisor()]
        return [record.supervisor for record in found if record.supervisor and record.status is Status.RUNNING]
    if kind == "driver":
        return found_by("-f", str(directory.root))
    if not tracking_server.running(workspace):
        return []
    keeper = int(read_json(workspace.history / tracking_server.STATUS_FILE)["pid"])
    return [keeper] if kind == "keeper" else found_by("-P", str(keeper))


def found_by(*pattern: str) -> list[int]:
    said = subprocess.run(["pgrep", *pattern], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in said.split()]


@pytest.mark.long
@pytest.mark.timeout(300 + 20 * KILLS)
def test_no_epoch_is_lost_and_no_trial_trains_twice(tmp_path, capsys):
    chance = random.Random(SEED)
    spec = EnvironmentSpec.from_packages("logging", ["mlflow-skinny==3.17.2"])
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    run = request(
        (spec, environment.lock(spec)), source, {"--epochs": EPOCHS}, compute=ComputeSpec(name="local", max_nodes=2)
    )
    space = {"--rate": {"kind": "uniform", "low": 0.0, "high": 1.0}}
    # A trial goes on three times after its supervisor was killed; with so many trials none is killed more often.
    trials = 2 * KILLS
    search = Search.model_validate({"space": {"parameters": space}, "metric": "score", "max_trials": trials})
    asked = SweepRequest(name="tune", search=search, run=run, source=str(source))
    workspace = Workspace.create(tmp_path / "ws", "ws")
    killed: Counter[str] = Counter()
    try:
        tracking_server.ensure(workspace)
        directory = sweep.submit(workspace, asked, {})
        while directory.read().status != "completed":
            time.sleep(chance.uniform(0.2, 1.5))
            kind = KINDS[killed.total() % len(KINDS)]
            if killed.total() < KILLS and (victims := pids_of(kind, workspace, directory)):
                os.kill(victims[0], signal.SIGKILL)
                killed[kind] += 1
            if not locks.is_locked(directory.lock) and directory.read().status != "completed":
                # As the next `pulumi up` does.
                directory = sweep.submit(workspace, asked, {})
        record = sweep.follow(directory)
        tracking_server.ensure(workspace)
        server = tracking_server.connect(workspace)
        experiment = server.experiment(workspace.name)
        assert [trial.state for trial in record.trials] == ["completed"] * trials
        for trial in record.trials:
            done = RunDirectory(workspace.run(trial.run_id))
            once = list(range(1, EPOCHS + 1))
            trained = [int(word) for word in (done.outputs / "trained").read_text().split()]
            # Killed between the file and the checkpoint, an epoch was not finished.
            assert sorted(set(trained)) == once
            attempts = done.read().attempt
            assert len(trained) - EPOCHS <= attempts - 1, "an epoch is trained again only where a supervisor was killed"
            assert sorted({point.step for point in tracking.read(done.tracking)["score"]}) == once

            def told(run_id=trial.run_id):
                found = server.find_run(experiment, "trainstack.run_id", run_id)
                if found is None:
                    return False
                points = server.get("metrics/get-history", run_id=found, metric_key="score").get("metrics", [])
                return sorted({int(point["step"]) for point in points}) == list(range(1, EPOCHS + 1))

            until(told, 60)
    finally:
        with_trouble = ""
        try:
            tracking_server.stop(workspace)
        except TrainstackError as exc:
            with_trouble = f"; {exc}"
        with capsys.disabled():
            print(f"\nhistory chaos: {dict(killed)}; CHAOS_SEED={SEED}{with_trouble}")
