"""What the MPI operator is asked for, and a worker's ssh, without a cluster."""

import json
import shutil
import subprocess
import sys

import pytest
from tests.targets.kubernetes.test_manifests import group, ref  # noqa: F401 (a fixture)

from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.exec import script
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import mpijob, run_objects
from trainstack.targets.kubernetes.pods import LAUNCHER_INDEX, number


def spec(ref, **changes):  # noqa: F811
    cluster = KubernetesConfig(engine="mpijob", queue="team-a", node_selector={"pool": "training"})
    made = mpijob.job(ref, group(**changes), cluster, grace=10, low_priority=True)
    assert made["metadata"]["labels"][labels.QUEUE] == "team-a"
    return made["spec"]


def test_workers_are_a_job_s_pods_and_the_launcher_asks_no_cpu(ref):  # noqa: F811
    made = spec(ref)
    worker, launcher = made["mpiReplicaSpecs"]["Worker"], made["mpiReplicaSpecs"]["Launcher"]
    assert (worker["replicas"], launcher["replicas"], made["runPolicy"]["cleanPodPolicy"]) == (2, 1, "None")
    pods = [each["template"]["spec"] for each in (worker, launcher)]
    for pod in pods:
        assert pod["securityContext"] == run_objects.POD_RIGHTS
        assert pod["automountServiceAccountToken"] is False
        assert pod["nodeSelector"] == {"pool": "training"}
        assert all(each["securityContext"] == run_objects.CONTAINER_RIGHTS for each in pod["containers"])
    assert [each["name"] for each in pods[0]["containers"]] == [labels.NODE, labels.SIDECAR]
    assert pods[1]["containers"][0]["resources"]["requests"]["cpu"] == "0"


def test_the_courier_of_a_worker_knows_its_number_too(ref):  # noqa: F811
    made = mpijob.job(ref, group(), KubernetesConfig(engine="mpijob", store="shared"), grace=10, low_priority=False)
    worker, launcher = (made["spec"]["mpiReplicaSpecs"][role]["template"]["spec"] for role in ("Worker", "Launcher"))
    for container in worker["containers"]:
        assert run_objects.NUMBER in [each["name"] for each in container["env"]]
    assert "shared" not in json.dumps(launcher)


def test_no_variable_of_the_run_stands_in_it(ref):  # noqa: F811
    assert "hush" not in json.dumps(spec(ref, variables={"TOKEN": "hush-hush"}))


def test_the_operators_pods_are_told_by_its_labels():
    worker = {"metadata": {"labels": {labels.MPI_ROLE: "worker", labels.MPI_INDEX: "3"}}}
    launcher = {"metadata": {"labels": {labels.MPI_ROLE: "launcher"}}}
    assert (number(worker), number(launcher), number({"metadata": {}})) == (3, LAUNCHER_INDEX, None)


def test_an_image_without_sshd_says_what_to_add(tmp_path):
    command = [sys.executable, "-c", script("serve_ssh"), str(tmp_path), str(tmp_path), "2222", "1", "true"]
    if shutil.which("sshd", path="/usr/sbin:/sbin"):
        pytest.skip("this machine has an sshd")
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("add openssh-server and openssh-client to the environment's image")


def test_who_attends_starts_the_node_and_ends_with_its_code(tmp_path):
    ended = tmp_path / "ended"
    command = [sys.executable, "-c", script("worker_start"), str(tmp_path), str(ended)]
    attending = subprocess.Popen(command)
    while not (tmp_path / "go").exists():
        assert attending.poll() is None
    ended.write_text("7")
    assert attending.wait(30) == 7
    assert (tmp_path / "exit-code-read").exists()
