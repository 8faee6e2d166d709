"""Runs of a workspace in an object store that are driven in a real cluster, with nobody's machine attached."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from tests.core.kubernetes_runs import needs_cluster, needs_kubectl, reachable_endpoint, store_secret
from tests.end_to_end.project import Project, new_project
from tests.kubectl_objects import stand_in
from tests.waiting import until

from trainstack.storage.cache import cache_folder
from trainstack.storage.object_store.store import ObjectStore

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.timeout(900),
    needs_cluster,
    needs_kubectl,
]
NAMESPACE = "trainstack-tests-driven"
PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("driven", ts.WorkspaceArgs(
    root=config.require("root"), registry=config.require("registry"), base_image=config.require("base")))
cluster = ts.Compute("cluster", ts.ComputeArgs(
    workspace=workspace, target="kubernetes", vm_size="STANDARD_D1_V2", max_nodes=2,
    kubernetes=ts.KubernetesArgs(namespace=config.require("namespace"), driver=ts.KubernetesDriver(secret="store")),
))
data = ts.Dataset("numbers", ts.DatasetArgs(workspace=workspace, paths=["numbers.txt"]))
kind = config.get("kind") or "single"
packages, distribution = {
    "single": ({"packages": ["six==1.17.0"]}, None),
    "tensorflow": ({"curated_name": "tensorflow-2.15"}, ts.TensorflowConfiguration(worker_count=2)),
    "horovod": ({"curated_name": "tensorflow-2.15-horovod"}, ts.Horovod(node_count=2)),
}[kind]
run = ts.TrainingRun("sum", ts.TrainingRunArgs(
    source_directory="scripts", script=config.get("script") or "train.py", compute=cluster,
    environment=ts.Environment("tiny", ts.EnvironmentArgs(**packages, compute=cluster)),
    distribution=distribution,
    arguments={"--data": data.as_mount(), "--steps": config.get_int("steps") or 1},
    max_attempts=2,
    secret_variables={"TOKEN": pulumi.Output.secret("hush-driven")},
))
model = ts.Model("total", ts.ModelArgs(run=run, path="outputs/total"))
pulumi.export("run", run.run_id)
pulumi.export("path", run.path)
pulumi.export("version", model.version)
"""
SCRIPT = """
import os, pathlib, sys, time
argument = lambda name: sys.argv[sys.argv.index(name) + 1]
assert os.environ["TOKEN"].startswith("hush")
total = sum(map(float, pathlib.Path(argument("--data"), "numbers.txt").read_text().split()))
state = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "step")
step = int(state.read_text()) if state.exists() else 0
print("starts at", step, flush=True)
while step < int(argument("--steps")):
    time.sleep(0.5)
    step += 1
    aside = state.with_name(f"aside-{os.getpid()}")
    aside.write_text(str(step))
    aside.replace(state)
    print("step", step, flush=True)
pathlib.Path("outputs/total").write_text(str(total))
"""

SUM_OF_RANKS = """
import os, pathlib, sys
import horovod.tensorflow as hvd
import tensorflow as tf
hvd.init()
argument = lambda name: sys.argv[sys.argv.index(name) + 1]
total = sum(map(float, pathlib.Path(argument("--data"), "numbers.txt").read_text().split()))
for step in range(int(argument("--steps"))):
    reduced = hvd.allreduce(tf.constant(total), op=hvd.Sum)
    print("step", step, flush=True)
if hvd.rank() == 0:
    pathlib.Path("outputs/total").write_text(f"{hvd.size()} ranks: {float(reduced)}")
"""


def kubectl(*words, stdin=None):
    return subprocess.run(
        ["kubectl", "-n", NAMESPACE, *words], capture_output=True, text=True, check=True, input=stdin
    ).stdout


def pods(role):
    label = "trainstack.driver" if role == "driver" else "trainstack.run"
    items = json.loads(kubectl("get", "pods", "-l", label, "-o", "json"))["items"]
    return [pod["metadata"]["name"] for pod in items if pod["status"]["phase"] == "Running"]


@pytest.fixture
def namespace(bucket_address, monkeypatch):
    """A namespace with the Secret that opens the store from there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", reachable_endpoint())
    subprocess.run(["kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s"], check=True)
    subprocess.run(["kubectl", "create", "namespace", NAMESPACE], check=True)
    kubectl("apply", "-f", "-", stdin=json.dumps(store_secret()))
    yield NAMESPACE
    subprocess.run(["kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false"], check=True)


@pytest.fixture
def machine(tmp_path, bucket_address, namespace):
    """Makes a machine: a checkout with a home and a cache of its own, and the stack's state in common."""
    wheels = cache_folder() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    state = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/first/.pulumi-state", "PULUMI_STACK": "test"}

    def make(name: str) -> Project:
        home = {"HOME": str(tmp_path / f"home-{name}"), "TRAINSTACK_CACHE": str(tmp_path / f"cache-{name}")}
        (tmp_path / f"home-{name}").mkdir()
        (tmp_path / f"cache-{name}").mkdir()
        # Building Horovod takes ten minutes, and is no part of what is shown here.
        (tmp_path / f"cache-{name}" / "wheels").symlink_to(wheels)
        if name != "first":
            project = Project(tmp_path / name, {**state, **home, **stand_in.VARIABLES})
            ignored = shutil.ignore_patterns(".trainstack", ".pulumi-state")
            shutil.copytree(tmp_path / "first", project.root, ignore=ignored)
            return project
        project = new_project(tmp_path / name)
        project.variables = {**project.variables, **state, **home, **stand_in.VARIABLES}
        project.write("__main__.py", PROGRAM)
        project.write("scripts/train.py", SCRIPT)
        project.write("scripts/sum_of_ranks.py", SUM_OF_RANKS)
        project.write("numbers.txt", "1 2 3")
        values = {
            "root": bucket_address,
            "namespace": namespace,
            "registry": os.environ["TRAINSTACK_REGISTRY"],
            "base": os.environ["TRAINSTACK_BASE_IMAGE"],
        }
        for key, value in values.items():
            project.pulumi("config", "set", key, value)
        return project

    return make


def submit_and_vanish(project):
    """Start `pulumi up`, and kill it with all of its processes once the driver is submitted."""
    up = project.start_up(project.root / "up.txt")
    until(lambda: "-driver" in kubectl("get", "jobs", "-o", "name") or up.poll() is not None, 900)
    assert up.poll() is None, (project.root / "up.txt").read_text()[-2000:]
    time.sleep(2)
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()
    project.pulumi("cancel", "--yes", expect=None)


def record(bucket_address):
    store = ObjectStore(bucket_address)
    [key] = [item.key for item in store.list("runs") if item.key.endswith("/run.json")]
    return json.loads(store.get(key).data)


def ended_record(bucket_address):
    """The run's record, once it has an end."""
    return until(lambda: last if (last := record(bucket_address))["status"] in ("completed", "failed") else None, 300)


def printed(bucket_address):
    store = ObjectStore(bucket_address)
    keys = [item.key for item in store.list("runs") if item.key.endswith("/logs/run.txt")]
    return store.get(keys[0]).data if keys else b""


def test_a_lost_machine_loses_no_run_and_another_one_adopts_it(machine, bucket_address):
    first = machine("first")
    first.pulumi("config", "set", "steps", "20")
    submit_and_vanish(first)
    until(lambda: record(bucket_address)["status"] == "completed", 240)
    second = machine("second")
    assert second.up().lines("adopted finished run")
    assert second.outputs()["version"] == 1
    assert not kubectl("get", "pods", "-l", "trainstack.run", "-o", "name").strip()
    store = ObjectStore(bucket_address)
    assert not [item.key for item in store.list() if b"hush-driven" in store.get(item.key).data]


def test_two_nodes_go_on_when_the_driver_and_a_node_are_lost(machine, bucket_address):
    first = machine("first")
    first.pulumi("config", "set", "steps", "240")
    first.pulumi("config", "set", "kind", "tensorflow")
    submit_and_vanish(first)
    until(lambda: b"step 5" in printed(bucket_address), 240)
    # The driver alone: the nodes do not notice.
    kubectl("delete", "pod", *pods("driver"), "--wait=false")
    until(lambda: record(bucket_address)["reason"].endswith("went on without its supervisor"), 120)
    assert record(bucket_address)["attempt"] == 1
    # A node, with nobody attached: another attempt goes on from the checkpoint.
    kubectl("delete", "pod", pods("node")[0], "--grace-period=1", "--wait=false")
    ended = ended_record(bucket_address)
    assert (ended["status"], ended["attempt"]) == ("completed", 2), ended["reason"]
    assert "checkpoint" in ended["resumed"]
    second = machine("second")
    assert second.up().lines("adopted finished run")


@pytest.mark.timeout(1800)
def test_two_ranks_of_horovod_need_no_machine(machine, bucket_address):
    first = machine("first")
    for name, value in {"kind": "horovod", "script": "sum_of_ranks.py", "steps": "50"}.items():
        first.pulumi("config", "set", name, value)
    submit_and_vanish(first)
    ended = ended_record(bucket_address)
    assert ended["status"] == "completed", ended["reason"]
    second = machine("second")
    assert second.up().lines("adopted finished run")
    store = ObjectStore(bucket_address)
    [total] = [item.key for item in store.list("runs") if item.key.endswith("/outputs/total")]
    assert store.get(total).data == b"2 ranks: 12.0"


def test_a_drained_machine_of_the_cluster_costs_no_more_than_a_step(machine, bucket_address):
    first = machine("first")
    first.pulumi("config", "set", "steps", "120")
    submit_and_vanish(first)
    until(lambda: b"step 5\n" in printed(bucket_address), 240)
    [pod] = pods("node")
    node = kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
    ours = "--pod-selector=trainstack.run"
    try:
        kubectl("drain", node, ours, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
    finally:
        kubectl("uncordon", node)
    ended = ended_record(bucket_address)
    assert ended["status"] == "completed", ended["reason"]
    assert "checkpoint" in ended["resumed"]
    words = [line.split() for line in printed(bucket_address).decode().splitlines()]
    starts = [int(line[-1]) for line in words if line[-3:-1] == ["starts", "at"]]
    done = [int(line[-1]) for line in words if line[-2:-1] == ["step"]]
    assert starts[0] == 0 < starts[-1]
    # Nothing that a checkpoint had is done again.
    assert len(done) <= 121, done
    assert machine("second").up().lines("adopted finished run")
