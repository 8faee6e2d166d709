"""Runs on a real cluster: the same as on this machine, and nothing of them is left there."""

import contextlib
import json
import os
import signal
import time

import pytest
from tests.core.kubernetes_runs import (
    CLUSTER,
    access,
    delete_pod,
    jobs,
    left,
    needs_cluster,
    nodes_labelled,
    pods,
    policies,
    registry,
)
from tests.core.sample_runs import events, printed
from tests.waiting import until

from trainstack.core.compute import compute
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.maintenance import orphans
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.errors import InvalidInputError, RunFailedError, TrainstackError
from trainstack.targets.compute_spec import NodeSize
from trainstack.targets.kubernetes.config import KubernetesConfig

pytestmark = [needs_cluster, pytest.mark.timeout(300)]
ON_KUBERNETES = ComputeSpec(
    name="cluster", target="kubernetes", config=CLUSTER, node_size=NodeSize(cpus=1, memory_gib=3.5), max_nodes=2
)
SECONDS = 90.0


@pytest.fixture
def started(workspace, source, request_for):
    """Submits a run on the cluster; whatever the test does, nothing is left of it."""
    runs = []

    def submit(arguments=None, *, secrets=None, compute=ON_KUBERNETES, **given):
        request = request_for(arguments, compute=compute, **given).model_copy(update={"registry": registry()})
        found = submission.submit(workspace, request, source, secrets or {}).directory
        runs.append(found)
        return found

    yield submit
    for run in [run for run in runs if run.root.is_dir()]:
        with contextlib.suppress(Exception):
            submission.stop(run, "the test is over")
        until(lambda run=run: not run.has_supervisor(), SECONDS)


def gone(run):
    until(lambda: not run.has_supervisor(), SECONDS)
    return not left(run)


def until_printed(run, text):
    until(lambda: printed(run, text) or run.read().status.ended, SECONDS)
    assert printed(run, text), run.read().reason


def test_a_run_fetches_its_outputs_and_leaves_no_object(started):
    run = started({"--steps": 2}, secrets={"TOKEN": "not for the record"}, secret_variables=("TOKEN",))
    record = submission.follow(run)
    assert record.status is Status.COMPLETED
    assert sorted(record.outputs) == ["model/weights", "seen.json"]
    seen = json.loads((run.outputs / "seen.json").read_text())
    assert (seen["token"], seen["cwd"]) == ("not for the record", "/trainstack/inputs/code")
    assert run.merged_log.read_text() == "starting at 0\nstep 1\nstep 2\n"
    assert gone(run)


def test_secrets_stay_out_of_job_and_pods_and_outputs_stream(started):
    run = started({"--steps": 600, "--pause": 0.1}, secrets={"TOKEN": "hush-hush"}, secret_variables=("TOKEN",))
    until_printed(run, "step 5")
    kept = json.dumps([jobs(run), pods(run)])
    assert "hush" not in kept
    assert "LAUNCH_KEY" not in kept
    until(lambda: (run.checkpoints / "step").is_file() and int((run.checkpoints / "step").read_text()) >= 3)
    assert submission.stop(run, "seen enough").status is Status.CANCELED
    assert gone(run)


def test_a_failing_script_is_told_with_its_code_and_last_lines(started):
    run = started({"--exit": 7})
    with pytest.raises(RunFailedError, match=r"(?s)rank 0 exited with code 7.*about to fail"):
        submission.follow(run)
    assert gone(run)


def test_a_new_supervisor_takes_over_the_job_of_a_killed_one(started):
    arguments = {"--steps": 150, "--pause": 0.1}
    run = started(arguments)
    until_printed(run, "step 3")
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    before = run.merged_log.read_text()
    assert started(arguments).id == run.id
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 1)
    text = run.merged_log.read_text()
    assert text.startswith(before)
    assert text == "starting at 0\n" + "".join(f"step {step}\n" for step in range(1, 151))
    assert [event["kind"] for event in events(run)].count("taken over") == 1
    assert gone(run)


def test_a_deleted_pod_is_retried_from_its_checkpoint(started):
    run = started({"--steps": 60, "--pause": 0.1}, max_attempts=2, backoff=0)
    until_printed(run, "step 5")
    until(lambda: (run.checkpoints / "step").is_file() and int((run.checkpoints / "step").read_text()) >= 3)
    delete_pod(run, 0, grace=0)
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 2)
    [wait] = [event for event in events(run) if event["kind"] == "retry"]
    # The kubelet asks a deleted pod to end: its answer may be home before it is gone.
    assert "node 0 was lost" in wait["reason"] or "node 0 was taken away" in wait["reason"]
    starts = [int(line.split()[-1]) for line in run.merged_log.read_text().splitlines() if "starting" in line]
    assert starts[0] == 0
    assert starts[1] >= 3
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


def test_outputs_of_a_drained_pods_grace_period_are_fetched(started, source):
    (source / "train.py").write_text(SAVES_LATE)
    run = started(grace=5)
    until_printed(run, "ready")
    delete_pod(run, 0)
    with pytest.raises(RunFailedError, match="node 0 was taken away"):
        submission.follow(run)
    assert (run.checkpoints / "late").read_text() == "saved in the grace period"
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
    print("said it", flush=True)
    link.close()
"""


def test_two_pods_reach_each_other_and_outputs_of_both_arrive(started, source):
    (source / "train.py").write_text(TALKS)
    run = started(distribution={"kind": "tensorflow", "node_count": 2, "workers": 2}, timeout=120)
    until(lambda: policies(run), SECONDS)
    record = submission.follow(run)
    assert sorted(record.outputs) == ["worker-0", "worker-1"]
    assert (run.outputs / "worker-1").read_text().endswith("-1")
    lines = run.merged_log.read_text().splitlines()
    assert sorted(lines) == ["[0] heard from node 1", "[1] said it"]
    assert gone(run)
    # The cluster removes it with the job that owns it.
    until(lambda: not policies(run), SECONDS)


def test_a_lack_of_memory_names_the_limit_and_what_to_raise(started, source):
    (source / "train.py").write_text("data = []\nwhile True: data.append(bytes(b'x' * (1 << 26)))\n")
    run = started(max_attempts=1)
    with pytest.raises(RunFailedError, match=r"has 3.5 GiB: take a larger `vm_size`"):
        submission.follow(run)
    assert gone(run)


def test_an_unschedulable_run_says_why_and_ends_at_the_deadline(started):
    large = ON_KUBERNETES.model_copy(
        update={
            "node_size": NodeSize(cpus=8, memory_gib=32),
            "config": CLUSTER.model_copy(update={"pending_deadline": 4.0}),
        }
    )
    run = started(compute=large)
    until(lambda: "Insufficient cpu" in run.read().reason, SECONDS)
    with pytest.raises(RunFailedError, match=r"did not start within 4 s: .*Insufficient cpu"):
        submission.follow(run)
    assert gone(run)


def test_time_without_a_node_is_scaling_and_does_not_count(started):
    config = CLUSTER.model_copy(update={"node_selector": {"trainstack-tests/late": "yes"}})
    with nodes_labelled("trainstack-tests/late") as label:
        run = started({"--steps": 3, "--pause": 0.1}, compute=ON_KUBERNETES.model_copy(update={"config": config}))
        until(lambda: "didn't match" in run.read().reason, SECONDS)
        assert run.read().status is Status.SCALING
        until(lambda: run.read().stages[-1].seconds > 3)
        labelled = time.time()
        label()
        record = submission.follow(run)
    assert [stage.name.value for stage in record.stages] == ["preparing", "scaling", "running", "finalizing"]
    scaling, running = record.stages[1:3]
    assert scaling.reason.startswith("node 0: ")
    assert running.started >= labelled
    assert record.duration == pytest.approx(running.seconds, abs=0.1)
    assert gone(run)


def test_a_quota_is_named(started):
    tight = CLUSTER.model_copy(update={"namespace": "trainstack-tests-quota", "pending_deadline": 30.0})
    from trainstack.targets.kubernetes.api.client import KubernetesApi

    KubernetesApi(tight).ensure_namespace()
    quota = {"metadata": {"name": "tight"}, "spec": {"hard": {"requests.cpu": "100m"}}}
    with contextlib.suppress(Exception):
        access().core.create_namespaced_resource_quota(tight.namespace, quota)
    run = started(compute=ON_KUBERNETES.model_copy(update={"config": tight}))
    until(lambda: "exceeded quota: tight" in run.read().reason, SECONDS)
    assert submission.stop(run, "seen enough").status is Status.CANCELED


def test_an_interrupted_run_stays_until_its_compute_is_removed(started, workspace):
    run = started({"--steps": 600, "--pause": 0.1})
    until_printed(run, "step 3")
    assert orphans.find(workspace) == []
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    assert orphans.collect(workspace) == []
    assert left(run)
    orphans.remove_all(workspace, ON_KUBERNETES, pytest.fail)
    assert not left(run)
    assert int((run.checkpoints / "step").read_text()) >= 3


def test_a_wrong_context_and_a_cluster_that_is_off_are_one_line(monkeypatch, tmp_path):
    wrong = ComputeSpec(
        name="c", target="kubernetes", config=KubernetesConfig(context="no-such"), vm_size="STANDARD_D1_V2"
    )
    with pytest.raises(InvalidInputError, match=r"context 'no-such' is not in .*, which has: "):
        compute.holding(wrong)
    config = tmp_path / "config"
    config.write_text(
        json.dumps(
            {
                "clusters": [{"name": "off", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "me", "user": {"token": "x"}}],
                "contexts": [{"name": "off", "context": {"cluster": "off", "user": "me"}}],
                "current-context": "off",
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    off = wrong.model_copy(update={"config": KubernetesConfig(context="off")})
    with pytest.raises(TrainstackError, match=r"https://127.0.0.1:1 does not answer \(.*refused") as caught:
        compute.holding(off)
    assert "\n" not in str(caught.value)


def test_a_cluster_that_serves_no_mpijob_is_one_line(monkeypatch):
    monkeypatch.setattr("trainstack.targets.kubernetes.api.mpijobs.GROUP", "absent.example.com")
    by_mpi = ON_KUBERNETES.model_copy(update={"config": CLUSTER.model_copy(update={"engine": "mpijob"})})
    with pytest.raises(InvalidInputError, match=r"serves no MPIJob .*install Kubeflow's MPI operator"):
        compute.holding(by_mpi)
