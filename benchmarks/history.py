"""What logging costs a script, a sweep beside the same Optuna study by hand, and listing a hundred thousand runs.

Usage: `python -m benchmarks.history [--runs N] [--trials N] [--steps N]`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import description, in_turns, note, seconds
from trainstack.agent.ranks.rank_environment import CLIENT_FOLDER
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.runs import index, snapshot
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.execution import agent_folder
from trainstack.core.runs.fields import RunEnvironment, RunSpec
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.runs.request import LockedEnvironment, RunRequest
from trainstack.core.sweeps import sweep
from trainstack.core.sweeps.record import Search, SweepRequest
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.queue import enqueue
from trainstack.core.workspace.workspace import Workspace
from trainstack.mlflow import metric_files
from trainstack.storage.atomic import write_json

# A step of 30 ms, as of a small network on a processor.
LOGGING = """
import sys, time
import mlflow
steps, logs = int(sys.argv[1]), sys.argv[2] == "log"
if logs:
    mlflow.log_metric("loss", 1.0, step=0)
started = time.perf_counter()
logging = 0.0
for step in range(1, steps + 1):
    end = time.perf_counter() + 0.03
    while time.perf_counter() < end:
        pass
    if logs:
        begun = time.perf_counter()
        mlflow.log_metric("loss", 1 / step, step=step)
        logging += time.perf_counter() - begun
print(time.perf_counter() - started, logging)
"""
# What a trial does: a second of work.
TRIAL = """
import os, pathlib, sys, time
rate = float(sys.argv[sys.argv.index("--rate") + 1])
end = time.perf_counter() + float(sys.argv[sys.argv.index("--work") + 1])
while time.perf_counter() < end:
    pass
score = 1 - (rate - 0.3) ** 2
if "MLFLOW_TRACKING_URI" not in os.environ:
    print(score)
else:
    run = pathlib.Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("file://"), "0", "aa")
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").touch()
    (run / "metrics" / "score").write_text(f"{int(time.time() * 1000)} {score} 1\\n")
"""


def logging_cost(root: Path, steps: int) -> None:
    """A script that logs each step beside the same script that does not."""
    spec = EnvironmentSpec.from_packages("logging", ["mlflow-skinny==3.17.2"])
    python = environment.build(spec, environment.lock(spec)).python
    script = root / "log_steps.py"
    script.write_text(LOGGING)
    variables = {name: value.replace("{rank}", "0") for name, value in metric_files.variables(root / "logged").items()}
    agent_folder.lay_out(root / "agent")
    # As a rank of a run has it.
    variables["PYTHONPATH"] = str(root / "agent" / CLIENT_FOLDER)
    calls: list[float] = []

    def run(how: str) -> float:
        done = subprocess.run(
            [python, script, str(steps), how],
            env={**os.environ, **variables},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        took, logging = (float(word) for word in done.stdout.split())
        calls.append(logging / steps)
        return took

    ratios = [run("log") / run("none") for _ in range(3)]
    calls = [call for call in calls if call]
    milliseconds = statistics.median(calls) * 1e3
    note(
        "a script that logs each step / that does not",
        statistics.median(ratios),
        f"{milliseconds:.2f} ms a call",
        "",
        "at most 1.02",
    )
    print(
        f"| logging {steps:,} steps of 30 ms | {statistics.median(ratios):.3f} of no logging "
        f"| {milliseconds:.2f} ms a call | at most 1.02 and 1 ms |"
    )


def sweep_beside_optuna(root: Path, trials: int, work: float) -> None:
    """A sweep beside the same study by hand, which starts the same script for each trial, two at once."""
    source = root / "source"
    source.mkdir()
    (source / "train.py").write_text(TRIAL)
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"])
    lock = environment.lock(spec)
    python = environment.build(spec, lock).python
    run = RunRequest(
        name="bench",
        spec=RunSpec(
            script="train.py",
            files=snapshot.take(source).files,
            arguments={"--work": str(work)},
            environment=RunEnvironment(digest=lock.digest),
        ),
        environment=LockedEnvironment(spec=spec, lock=lock),
        compute=ComputeSpec(name="local", max_nodes=2),
    )
    space = {"--rate": {"kind": "uniform", "low": 0.0, "high": 1.0}}
    asked = {"space": {"parameters": space}, "metric": "score", "max_trials": trials}

    def ours() -> None:
        workspace = Workspace.create(Path(tempfile.mkdtemp(dir=root)) / "ws", "ws")
        request = SweepRequest(name="tune", search=Search.model_validate(asked), run=run, source=str(source))
        sweep.follow(sweep.submit(workspace, request, {}))

    def theirs() -> None:
        by_hand = f"""
import optuna, subprocess
optuna.logging.set_verbosity(optuna.logging.ERROR)
def objective(trial):
    words = [{str(python)!r}, {str(source / "train.py")!r}, "--rate", str(trial.suggest_float("rate", 0, 1))]
    return float(subprocess.run([*words, "--work", "{work}"], capture_output=True, text=True, check=True).stdout)
optuna.create_study(direction="maximize").optimize(objective, n_trials={trials}, n_jobs=2)
"""
        subprocess.run([sys.executable, "-c", by_hand], check=True)

    pair = in_turns(ours, theirs, 1)
    mine, hand = (f"{statistics.median(times):.1f} s" for times in (pair.ours, pair.theirs))
    note("trials of a sweep / of Optuna by hand, two at once", pair.ratio, mine, hand, "at most 1.05")
    print(
        f"| {trials} trials of {work:g} s, two at once | {mine} "
        f"| {hand} by hand | trials an hour {1 / pair.ratio:.2f} of by hand | 0.95 |"
    )


def listing(root: Path, runs: int) -> None:
    """`trainstack runs list` with a filter over many runs."""
    workspace = Workspace.create(root / "many", "many")
    for number in range(runs):
        run = RunDirectory(workspace.run(f"{number:016x}"))
        run.root.mkdir(parents=True)
        status = Status.FAILED if number % 1000 == 0 else Status.COMPLETED
        record = RunRecord(
            id=run.id,
            name=f"net-{number % 50}",
            status=status,
            created=number,
            updated=number,
            duration=1.0,
            metrics={"loss": 1 / (number + 1), "accuracy": 0.9},
        )
        (run.root / "run.json").write_text(record.model_dump_json())
    first = seconds(lambda: index.newest(workspace, limit=1))
    command = [sys.executable, "-m", "trainstack.cli", "runs", "list", "--status", "failed", "--limit", "50"]
    command += ["--workspace", str(workspace.root)]
    took = [seconds(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)) for _ in range(5)]
    usual = statistics.median(took)
    note(
        "`runs list` with a filter / its first time, which reads all runs",
        usual / first,
        f"{usual:.2f} s",
        f"{first:.1f} s",
        "under 0.5 s",
    )
    size = (workspace.root / "cache" / "runs.db").stat().st_size / runs
    print(
        f"| `runs list` with a filter over {runs:,} runs | {usual:.2f} s "
        f"| first time {first:.1f} s | index {size:.0f} bytes a run | under 0.5 s |"
    )


def mirror(root: Path, runs: int, epochs: int = 10) -> None:
    """What MLflow's database grows by with each run that it is told of: two metrics of so many epochs, one argument."""
    workspace = Workspace.create(root / "told", "told")
    tracking_server.ensure(workspace)
    database = workspace.history / "mlflow.db"
    try:
        empty = database.stat().st_size
        for number in range(runs):
            run = RunDirectory(workspace.run(f"{number:016x}"))
            values = run.tracking / "rank-0" / "0" / f"{number:032x}" / "metrics"
            values.mkdir(parents=True)
            (values.parent / "meta.yaml").touch()
            lines = "".join(f"{1000 * epoch} {1 / epoch} {epoch}\n" for epoch in range(1, epochs + 1))
            for name in ("loss", "accuracy"):
                (values / name).write_text(lines)
            spec = RunSpec(
                script="train.py", files={}, arguments={"--rate": "0.1"}, environment=RunEnvironment(digest="0" * 64)
            )
            locked = LockedEnvironment(
                spec=EnvironmentSpec(name="tiny"),
                lock=environment.Lock(python="3.11", packages={}, text="", digest="0" * 64),
            )
            request = RunRequest(name="net", spec=spec, environment=locked, compute=ComputeSpec(name="local"))
            write_json(run.root / "spec.json", request.model_dump(mode="json"))
            run.write(RunRecord(id=run.id, name="net", status=Status.COMPLETED, created=number, updated=number))
            enqueue(workspace, run.id)
        server = tracking_server.connect(workspace)
        experiment = server.experiment(workspace.name)
        began = time.perf_counter()
        # The notes are told in the order of their names.
        last_id = f"{runs - 1:016x}"
        while (last := server.find_run(experiment, "trainstack.run_id", last_id)) is None or (
            server.get("runs/get", run_id=last)["run"]["info"]["status"] != "FINISHED"
        ):
            time.sleep(0.2)
        took = (time.perf_counter() - began) / runs
        size = (database.stat().st_size - empty) / runs / 1000
    finally:
        tracking_server.stop(workspace)
    print(f"| MLflow's mirror of {runs:,} runs | {size:.1f} kB a run | {took * 1000:.0f} ms a run to tell | reported |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Logging, sweeps and long histories.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--work", type=float, default=5.0)
    options = parser.parse_args()
    os.environ["TRAINSTACK_TRACKING"] = "off"
    print(description())
    root = Path(tempfile.mkdtemp(prefix="trainstack-benchmark-"))
    try:
        logging_cost(root, options.steps)
        sweep_beside_optuna(root, options.trials, options.work)
        listing(root, options.runs)
        mirror(root, min(options.runs, 200))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
