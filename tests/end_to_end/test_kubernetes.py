"""The repository's programs on the stack `kubernetes`: the real engine, a real cluster, TensorFlow, and harm."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.core.kubernetes_runs import left, needs_cluster, needs_kubectl, reachable_endpoint
from tests.end_to_end.project import REPOSITORY, Project
from tests.kubectl_objects import stand_in
from tests.waiting import until

from trainstack.core.runs.directory import RunDirectory
from trainstack.core.services import service
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.port_forward import forwarding
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects.service_objects import PORT

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.tensorflow,
    pytest.mark.timeout(1200),
    needs_cluster,
    pytest.mark.skipif("MNIST_BASE_URL" not in os.environ, reason="MNIST_BASE_URL names no folder with the files"),
    needs_kubectl,
]


def program(tmp_path, name):
    """A copy of one of the repository's programs with the stack `kubernetes`."""
    for folder in ("stacks", ".pulumi-state"):
        (tmp_path / folder).mkdir()
    text = (REPOSITORY / "stacks" / "Pulumi.kubernetes.yaml").read_text()
    registry = os.environ["TRAINSTACK_REGISTRY"]
    (tmp_path / "stacks" / "Pulumi.kubernetes.yaml").write_text(text.replace("localhost:5000", registry))
    root = tmp_path / "programs" / name
    shutil.copytree(REPOSITORY / "programs" / name, root, ignore=shutil.ignore_patterns(".trainstack", "data"))
    if name == "mnist":
        shutil.copy(REPOSITORY / "Pulumi.yaml", tmp_path)
        root = tmp_path
    project = Project(root, dict(stand_in.VARIABLES))
    project.pulumi("stack", "init", "kubernetes")
    return project


def kubectl(*words):
    done = subprocess.run(["kubectl", "-n", "trainstack", *words], capture_output=True, text=True, check=True)
    return done.stdout


def scored(address, digest):
    answer = httpx.post(address, json={"instances": [[0.0] * 784]}, trust_env=False, timeout=30)
    assert answer.headers["x-model-digest"] == digest
    return answer.status_code == 200 and len(answer.json()["predictions"][0]) == 10


def test_mnist_survives_kills_and_a_deleted_pod_and_is_served(tmp_path):
    project = program(tmp_path, "mnist")
    try:
        project.pulumi("config", "set", "epochs", "10")
        up = project.start_up(tmp_path / "up.txt")
        runs = tmp_path / ".trainstack" / "mnist" / "runs"
        run = until(lambda: next((RunDirectory(it.parent) for it in runs.glob("*/run.json")), None), 600)
        log = run.merged_log
        until(lambda: log.is_file() and "Epoch 2/" in log.read_text(), 300)
        supervisor = run.read().supervisor
        assert supervisor is not None
        up.kill()
        os.kill(supervisor, signal.SIGKILL)
        up.wait(30)
        project.pulumi("cancel", "--yes", expect=None)
        assert left(run, "trainstack")

        up = project.start_up(tmp_path / "again.txt")
        until(lambda: '"taken over"' in (run.root / "events.jsonl").read_text(), 60)
        until(lambda: "Epoch 4/" in log.read_text(), 120)
        kubectl("delete", "pod", "-l", f"trainstack.run={run.id}", "--grace-period=1")
        until(lambda: run.read().status.ended, 120)
        assert "its pod was deleted" in run.read().reason
        up.wait(60)

        project.up()
        record = run.read()
        assert (record.status, record.attempt) == ("completed", 2)
        # It did not begin again: no epoch was trained by both attempts but the one that was cut off.
        assert log.read_text().count("Epoch 1/") == 1
        until(lambda: not left(run, "trainstack"), 60)

        outputs = project.outputs()
        assert outputs["accuracy"] >= 0.97
        workspace = Workspace.open(tmp_path / ".trainstack" / "mnist")
        served = service.find(workspace, "mnist")
        with forwarding(KubernetesApi(KubernetesConfig()), served.object_name, PORT, served.port, pytest.fail):
            assert scored(outputs["scoring_uri"], served.model_digest)
        assert service.status(workspace, "mnist").state == "healthy"
        pods = json.loads(
            kubectl("get", "pods", "-l", f"app.kubernetes.io/instance={served.object_name}", "-o", "json")
        )
        assert len(pods["items"]) == 1
        project.unchanged()

        kubectl("delete", "deployment", served.object_name)
        project.pulumi("refresh", "--yes", "--skip-preview")
        project.up()
        assert service.status(workspace, "mnist").state == "healthy"
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview", expect=None)
    mine = ["-l", f"app.kubernetes.io/instance={served.object_name}"]
    assert not kubectl("get", "deploy,svc,pdb,networkpolicy,hpa", *mine, "-o", "name")


def test_mnist_by_mpi_and_object_store_survives_a_lost_worker(tmp_path, bucket_address):
    if subprocess.run(["kubectl", "get", "crd", "mpijobs.kubeflow.org"], capture_output=True, check=False).returncode:
        pytest.skip("the cluster serves no MPIJob")
    project = program(tmp_path, "mnist_horovod")
    try:
        project.pulumi("config", "set", "epochs", "8")
        project.pulumi("config", "set", "trainstack:engine", "mpijob")
        if endpoint := reachable_endpoint():
            project.variables["AWS_ENDPOINT_URL"] = endpoint
            project.pulumi("config", "set", "trainstack:root", bucket_address)
        up = project.start_up(tmp_path / "up.txt")
        folders = (".trainstack/mnist-horovod/runs/*/run.json", "cache/workspaces/*/runs/*/run.json")
        found = (tmp_path, project.root)
        run = until(
            lambda: next(
                (RunDirectory(it.parent) for root in found for name in folders for it in root.glob(name)), None
            ),
            600,
        )
        until(lambda: run.merged_log.is_file() and "Epoch 3/" in run.merged_log.read_text(), 300)
        mine = ["-l", f"trainstack.run={run.id}", "-o", "json"]
        [job] = json.loads(kubectl("get", "mpijobs", *mine))["items"]
        assert "Running" in [each["type"] for each in job["status"]["conditions"] if each["status"] == "True"]
        assert not json.loads(kubectl("get", "jobs", *mine))["items"]
        kubectl("delete", "pod", f"{job['metadata']['name']}-worker-1", "--grace-period=1", "--wait=false")
        until(lambda: run.read().status.ended, 120)
        assert "its pod was deleted" in run.read().reason
        up.wait(60)

        project.up()
        record = run.read()
        assert (record.status, record.attempt) == ("completed", 2)
        assert run.merged_log.read_text().count("Epoch 1/") == 1
        assert project.outputs()["accuracy"] >= 0.9
        until(lambda: not left(run, "trainstack", engine="mpijob"), 60)
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview", expect=None)


@pytest.mark.parametrize("name", ["mnist_horovod", "mnist_multiworker", "mnist_parameter_server"])
def test_mnist_trains_on_two_pods_by_nothing_but_another_stack(tmp_path, name):
    project = program(tmp_path, name)
    try:
        project.pulumi("config", "set", "epochs", "1")
        project.up()
        outputs = project.outputs()
        run = RunDirectory(Path(outputs["path"]))
        assert outputs["accuracy"] >= 0.8
        assert Path(outputs["model"]["path"], "saved_model.pb").is_file()
        assert len(json.loads((run.root / "launch.json").read_text())["nodes"]) == 2
        until(lambda: not left(run, "trainstack"), 60)
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview", expect=None)
