"""The objects of what drives a run in the cluster, as text."""

import json

from trainstack.targets.base import DriverSpec, RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.config import DriverConfig, KubernetesConfig
from trainstack.targets.kubernetes.objects import driver_objects

SPEC = DriverSpec(
    image="r/driver@sha256:1",
    python="/opt/bin/python",
    address="s3://team/ws",
    package="packages/abc.zip",
    secrets={"TOKEN": "hush"},
)


def config(**given):
    return KubernetesConfig(driver=DriverConfig(service_account="k-driver", **given))


def ref(tmp_path):
    return RunRef(tmp_path / "0123456789abcdef", "9b6d2764")


def test_a_drivers_job_holds_no_secret_and_no_label_of_the_run(tmp_path):
    job = driver_objects.job(ref(tmp_path), SPEC, config(secret="s3"))
    assert "hush" not in json.dumps(job)
    assert labels.RUN not in job["metadata"]["labels"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]


def test_only_the_driver_gets_a_token_of_the_cluster(tmp_path):
    pod = driver_objects.job(ref(tmp_path), SPEC, config())["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("k-driver", True)
    assert pod["containers"][0]["envFrom"] == []
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def test_a_drained_machine_does_not_count_as_a_failed_driver(tmp_path):
    spec = driver_objects.job(ref(tmp_path), SPEC, config())["spec"]
    [rule] = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "Ignore"
    assert rule["onPodConditions"][0]["type"] == "DisruptionTarget"


def test_the_secret_goes_with_its_job(tmp_path):
    secret = driver_objects.secret(ref(tmp_path), "uid-1", json.dumps(SPEC.secrets))
    job = driver_objects.job(ref(tmp_path), SPEC, config())
    [owner] = secret["metadata"]["ownerReferences"]
    assert (owner["name"], owner["uid"]) == (job["metadata"]["name"], "uid-1")
    volumes = {volume["name"]: volume for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["secrets"]["secret"]["secretName"] == secret["metadata"]["name"]


def test_the_role_lets_nobody_read_secrets_or_leave_the_namespace():
    objects = driver_objects.account("k", config(), "prod", {}, declare_account=True)
    assert [each["kind"] for each in objects] == ["ServiceAccount", "Role", "RoleBinding"]
    text = json.dumps(objects)
    assert "secrets" not in text
    assert "Cluster" not in text
    assert "mpijobs" not in text
    mpi = KubernetesConfig(engine="mpijob", driver=DriverConfig(service_account="k-driver"))
    assert "mpijobs" in json.dumps(driver_objects.account("k", mpi, "prod", {}, declare_account=False))
