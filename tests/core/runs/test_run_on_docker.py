"""Runs on a real Docker engine: the same as on this machine, and nothing of them is left there."""

import contextlib
import json
import os
import shutil
import signal

import pytest
from tests.core.docker_runs import containers, engine, file_in, left, needs_engine
from tests.core.sample_runs import calls_a_program, events, imports_from, printed
from tests.waiting import until

from trainstack.core.compute.compute import ComputeSpec, target_of
from trainstack.core.maintenance import orphans
from trainstack.core.runs import artifacts, location
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.preemption import preempt
from trainstack.errors import RunFailedError
from trainstack.storage.atomic import write_json

pytestmark = [needs_engine, pytest.mark.timeout(180)]
ON_DOCKER = ComputeSpec(name="engine", target="docker", max_nodes=2)


@pytest.fixture
def started(workspace, source, request_for):
    """Submits a run on the engine; whatever the test does, nothing is left of it."""
    runs = []

    def submit(arguments=None, *, secrets=None, compute=ON_DOCKER, **given):
        request = request_for(arguments, compute=compute, **given)
        found = submission.submit(workspace, request, source, secrets or {}).directory
        runs.append(found)
        return found

    yield submit
    for run in [run for run in runs if run.root.is_dir()]:
        with contextlib.suppress(Exception):
            submission.stop(run, "the test is over")
        until(lambda run=run: not run.has_supervisor())
        target_of(ON_DOCKER).remove_all(location.ref_of(run))


def gone(run):
    until(lambda: not run.has_supervisor())
    return not left(run)


def test_a_run_returns_its_outputs_and_leaves_nothing_behind(started):
    run = started({"--steps": 2}, secrets={"TOKEN": "not for the record"}, secret_variables=("TOKEN",))
    record = submission.follow(run)
    assert record.status is Status.COMPLETED
    assert sorted(record.outputs) == ["model/weights", "seen.json"]
    seen = json.loads((run.outputs / "seen.json").read_text())
    assert (seen["token"], seen["cwd"]) == ("not for the record", "/trainstack/inputs/code")
    assert run.merged_log.read_text() == "starting at 0\nstep 1\nstep 2\n"
    assert gone(run)


def test_a_script_calls_a_program_of_its_folder(started, source):
    calls_a_program(source)
    run = started()
    submission.follow(run)
    assert run.merged_log.read_text() == "prepared\n"


def test_a_declared_import_path_reaches_the_script(started, source):
    imports_from(source, "src")
    run = started(environment_variables={"PYTHONPATH": "src"})
    submission.follow(run)
    assert run.merged_log.read_text() == "found\n"


def test_what_a_script_writes_beside_its_outputs_is_named(started, source):
    (source / "train.py").write_text("import os; os.mkdir('saved'); open('saved/b 1.h5', 'w')")
    run = started()
    record = submission.follow(run)
    said = "left nothing in ./outputs; wrote saved/b 1.h5 in its working folder"
    assert artifacts.beside_outputs(run, record) == said


def test_metrics_come_home_as_on_this_machine(started, source):
    (source / "train.py").write_text(
        "import os, pathlib, time\n"
        "root = pathlib.Path(os.environ['MLFLOW_TRACKING_URI'].removeprefix('file://'), '0', 'run', 'metrics')\n"
        "root.mkdir(parents=True)\n"
        "for step in range(3):\n"
        "    with (root / 'loss').open('a') as file:\n"
        "        file.write(f'{time.time_ns() // 10**6} {1 / (step + 1)} {step}\\n')\n"
    )
    assert submission.follow(started()).metrics == {"loss": pytest.approx(1 / 3)}


def test_a_container_has_few_rights_and_no_secret_in_its_config(started):
    run = started({"--steps": 200, "--pause": 0.1}, secrets={"TOKEN": "hush-hush"}, secret_variables=("TOKEN",))
    until(lambda: printed(run, "step 1"))
    [node] = containers(run, node="0")
    assert "hush-hush" not in json.dumps(node)
    assert "LAUNCH_KEY" not in json.dumps(node)
    host = node["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert node["Config"]["User"] == "10001:10001"
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["NanoCpus"] > 0
    assert host["Privileged"] is False
    assert {mount["Destination"]: mount["RW"] for mount in node["Mounts"]} == {
        "/trainstack/inputs": True,
        "/trainstack/writable": True,
    }
    labels = node["Config"]["Labels"]
    assert labels["trainstack.run"] == run.id
    assert (labels["trainstack.attempt"], labels["trainstack.name"]) == ("1", "tiny")
    assert submission.stop(run, "seen enough").status is Status.CANCELED
    assert gone(run)


def test_logs_and_checkpoints_arrive_while_the_run_goes_on(started):
    run = started({"--steps": 300, "--pause": 0.1})
    until(lambda: printed(run, "step 5"))
    until(lambda: (run.checkpoints / "step").is_file() and int((run.checkpoints / "step").read_text()) >= 3)
    assert run.read().status is Status.RUNNING
    submission.stop(run, "seen enough")


def test_a_failing_script_is_told_with_its_code_and_last_lines(started):
    run = started({"--exit": 7})
    with pytest.raises(RunFailedError, match=r"(?s)rank 0 exited with code 7.*about to fail"):
        submission.follow(run)
    assert gone(run)


def test_the_next_supervisor_takes_over_the_containers(started):
    arguments = {"--steps": 60, "--pause": 0.1}
    run = started(arguments)
    until(lambda: printed(run, "step 3"))
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    before = run.merged_log.read_text()
    assert len(containers(run, node="0")) == 1
    assert started(arguments).id == run.id
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 1)
    text = run.merged_log.read_text()
    assert text.startswith(before)
    assert text == "starting at 0\n" + "".join(f"step {step}\n" for step in range(1, 61))
    assert [event["kind"] for event in events(run)].count("taken over") == 1
    assert gone(run)


def test_a_run_that_ended_unsupervised_is_not_trained_again(started):
    arguments = {"--steps": 12, "--pause": 0.1}
    run = started(arguments)
    until(lambda: printed(run, "step 2"))
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: containers(run, node="0")[0]["State"]["Status"] == "exited")
    started(arguments)
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 1)
    assert (run.outputs / "model/weights").read_text() == "12"
    assert run.merged_log.read_text().count("starting") == 1
    assert gone(run)


def test_a_run_resumes_from_a_container_killed_unsupervised(started):
    arguments = {"--steps": 60, "--pause": 0.1}
    run = started(arguments)
    until(lambda: printed(run, "step 3") and (run.checkpoints / "step").is_file())
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    kept = int((run.checkpoints / "step").read_text())
    until(lambda: b"step 20" in file_in(run, "/trainstack/writable/logs/run.txt"))
    [node] = containers(run, node="0")
    engine().api.kill(node["Id"])
    started(arguments)
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 2)
    starts = [int(line.split()[-1]) for line in run.merged_log.read_text().splitlines() if "starting" in line]
    assert len(starts) == 2
    assert starts[1] >= 20 > kept
    assert gone(run)


def test_a_killed_container_is_retried_from_its_checkpoint(started):
    run = started({"--steps": 40, "--pause": 0.1}, max_attempts=2, backoff=0)
    until(lambda: printed(run, "step 5"))
    [node] = containers(run, node="0")
    engine().api.kill(node["Id"])
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 2)
    [wait] = [event for event in events(run) if event["kind"] == "retry"]
    assert "node 0 was lost" in wait["reason"]
    steps = [line for line in run.merged_log.read_text().splitlines() if line.startswith("step")]
    assert len(steps) <= 41
    assert gone(run)


SAVES_LATE = """
import os, pathlib, signal, sys, time
def last(*_):
    time.sleep(0.5)
    pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "late").write_text("saved in the grace period")
    sys.exit(0)
signal.signal(signal.SIGTERM, last)
print("ready", flush=True)
time.sleep(600)
"""


def test_what_a_script_saves_in_its_grace_period_arrives(started, source):
    (source / "train.py").write_text(SAVES_LATE)
    run = started(grace=5)
    until(lambda: printed(run, "ready"))
    assert submission.stop(run, "enough").status is Status.CANCELED
    assert (run.checkpoints / "late").read_text() == "saved in the grace period"
    assert gone(run)


def test_a_timeout_ends_the_containers(started):
    run = started({"--steps": 600, "--pause": 0.1}, timeout=2, grace=1)
    with pytest.raises(RunFailedError, match="stopped after its timeout of 2 s"):
        submission.follow(run)
    assert gone(run)


def test_a_preempted_node_is_lost_and_retried(started):
    run = started({"--steps": 40, "--pause": 0.1}, max_attempts=2, backoff=0)
    until(lambda: printed(run, "step 3"))
    preempt(run, notice=0.5)
    assert submission.follow(run).attempt == 2
    [wait] = [event for event in events(run) if event["kind"] == "retry"]
    assert "node 0" in wait["reason"]
    assert gone(run)


TALKS = """
import json, os, pathlib, socket, time
config = json.loads(os.environ["TF_CONFIG"])
index = config["task"]["index"]
pathlib.Path("outputs", f"worker-{index}").write_text(socket.gethostname())
host, port = config["cluster"]["worker"][0].split(":")
if index == 0:
    with socket.create_server(("", int(port))) as server:
        link, _ = server.accept()
        print("heard", link.recv(100).decode(), flush=True)
else:
    while True:
        try:
            link = socket.create_connection((host, int(port)))
            break
        except OSError:
            time.sleep(0.1)
    link.sendall(b"from node 1")
    shared = pathlib.Path("outputs", "worker-0")
    while not shared.exists():
        time.sleep(0.1)
    link.close()
"""


def test_two_nodes_share_names_and_outputs(started, source):
    (source / "train.py").write_text(TALKS)
    run = started(distribution={"kind": "tensorflow", "node_count": 2, "workers": 2}, timeout=60)
    record = submission.follow(run)
    assert sorted(record.outputs) == ["worker-0", "worker-1"]
    assert (run.outputs / "worker-1").read_text() == "node-1"
    assert "[0] heard from node 1" in run.merged_log.read_text()
    assert gone(run)


def test_a_killed_container_ends_the_other_nodes_and_is_named(started, source):
    (source / "train.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    run = started(distribution={"kind": "tensorflow", "node_count": 2, "workers": 2})
    until(lambda: printed(run, "[1] up") and printed(run, "[0] up"))
    [node] = containers(run, node="1")
    engine().api.kill(node["Id"])
    with pytest.raises(RunFailedError, match="node 1"):
        submission.follow(run)
    assert gone(run)


def test_a_run_without_supervisor_is_stopped_with_grace(started, source):
    (source / "train.py").write_text(SAVES_LATE)
    run = started(grace=5)
    until(lambda: printed(run, "ready"))
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    record = submission.stop(run, "no longer wanted")
    assert (record.status, record.reason) == (Status.CANCELED, "no longer wanted")
    assert (run.checkpoints / "late").read_text() == "saved in the grace period"
    assert gone(run)


def test_purged_runs_leave_garbage_and_interrupted_ones_do_not(started, workspace):
    run = started({"--steps": 600, "--pause": 0.1})
    until(lambda: printed(run, "step 3"))
    assert orphans.find(workspace) == []
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    assert orphans.collect(workspace) == []
    assert containers(run, node="0")[0]["State"]["Running"]
    shutil.rmtree(run.root)
    write_json(workspace.compute("engine") / "compute.json", ON_DOCKER.model_dump(mode="json"))
    assert {garbage.path.parts[1] for garbage in orphans.collect(workspace)} == {
        "container",
        "network",
        "volume",
    }
    assert not left(run)


def test_removing_a_compute_collects_interrupted_outputs(started, workspace):
    arguments = {"--steps": 600, "--pause": 0.1}
    run = started(arguments)
    until(lambda: printed(run, "step 3"))
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    orphans.remove_all(workspace, ON_DOCKER, pytest.fail)
    assert not left(run)
    assert int((run.checkpoints / "step").read_text()) >= 3


def test_a_finished_run_is_adopted_by_a_compute_on_an_engine(started, workspace, source, request_for):
    here = submission.submit(workspace, request_for(), source, {}).directory
    assert submission.follow(here).status is Status.COMPLETED
    there = submission.submit(workspace, request_for(compute=ON_DOCKER), source, {})
    assert (there.directory.id, there.outcome) == (here.id, submission.Outcome.ADOPTED)


def test_a_run_that_moves_to_this_machine_keeps_its_checkpoint(started):
    arguments = {"--steps": 60, "--pause": 0.1}
    run = started(arguments)
    until(lambda: printed(run, "step 10"))
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    started(arguments, compute=ComputeSpec(name="here", max_nodes=1))
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 2)
    starts = [int(line.split()[-1]) for line in run.merged_log.read_text().splitlines() if "starting" in line]
    assert starts[1] >= 10
    assert not left(run)


def test_an_engine_behind_ssh_is_one_like_any_other(started, tmp_path, monkeypatch):
    if shutil.which("docker") is None:
        pytest.skip("ssh ends at the docker program, which is not here")
    # Stands for the other machine: what ssh would run there runs here, over the same pipes.
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    arguments = {"--steps": 40, "--pause": 0.1}
    elsewhere = ComputeSpec(name="engine", target="docker", docker_host="ssh://somebody@elsewhere", max_nodes=2)
    run = started(arguments, compute=elsewhere, secrets={"TOKEN": "by the way"}, secret_variables=("TOKEN",))
    until(lambda: printed(run, "step 3"), 60)
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    started(arguments, compute=elsewhere, secrets={"TOKEN": "by the way"}, secret_variables=("TOKEN",))
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 1)
    assert run.merged_log.read_text() == "starting at 0\n" + "".join(f"step {step}\n" for step in range(1, 41))
    assert json.loads((run.outputs / "seen.json").read_text())["token"] == "by the way"
    assert gone(run)
