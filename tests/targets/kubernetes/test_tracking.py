"""The objects of a workspace's tracking server: what a cluster is asked for."""

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.kubernetes_runs import needs_cluster, taken

from trainstack.core.environments import environment
from trainstack.core.tracking.mlflow_process import ENVIRONMENT
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.in_pod import serve_tracking
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.objects.tracking_objects import (
    CLIENT,
    REVISION,
    TrackingSpec,
    check_database,
    objects,
    with_driver,
)
from trainstack.targets.kubernetes.objects.validation import checked
from trainstack.targets.kubernetes.pods import ended_container, pending_reason

CONTAINER = {
    "image": "registry.example.com/team/trainstack-environment@sha256:" + "0" * 64,
    "python": "/opt/environment/bin/python",
    "revision": "0a1b2c3d",
}
CLUSTER = KubernetesConfig(namespace="trainstack-tests", service_account="ws-tracking-shop-prod")
NAME = "ws-tracking-shop-prod"
ELSEWHERE = {"database": True, "artifacts": "s3://bucket/history"}
SECRETS = {"MLFLOW_BACKEND_STORE_URI": "aHVzaA==", "AWS_SECRET_ACCESS_KEY": "aHVzaA=="}


def rendered(settings=None, secrets=None, **asked):
    spec = TrackingSpec(**asked)
    return objects(NAME, "ws", "prod", CLUSTER, spec, CONTAINER, settings=settings, secrets=secrets)


def pod(found):
    return found["Deployment"]["spec"]["template"]


def server(found):
    [container] = pod(found)["spec"]["containers"]
    return container


def variables(found):
    return {it["name"]: it["value"] for it in server(found)["env"]}


def test_a_folder_is_a_volume_that_one_pod_at_a_time_has():
    found = rendered(size_gib=2.5, storage_class="fast")
    claim = found["PersistentVolumeClaim"]
    assert claim["spec"]["resources"]["requests"] == {"storage": "2560Mi"}
    assert (claim["spec"]["storageClassName"], claim["spec"]["accessModes"]) == ("fast", ["ReadWriteOnce"])
    assert found["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert found["Deployment"]["spec"]["replicas"] == 1
    assert {"name": "data", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in pod(found)["spec"][
        "volumes"
    ]
    seen = variables(found)
    assert seen["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////data/mlflow.db"
    assert seen["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] == "file:///data/artifacts"


def test_a_database_and_bucket_are_in_the_secret_alone():
    found = rendered({"AWS_ENDPOINT_URL": "http://s3.example.com"}, SECRETS, **ELSEWHERE)
    assert "PersistentVolumeClaim" not in found
    assert [it["name"] for it in pod(found)["spec"]["volumes"]] == ["tmp"]
    assert found["Secret"]["data"] == SECRETS
    assert server(found)["envFrom"] == [{"secretRef": {"name": NAME}}]
    assert "aHVzaA" not in json.dumps({kind: it for kind, it in found.items() if kind != "Secret"})
    seen = variables(found)
    assert not seen.keys() & SECRETS.keys()
    assert seen["AWS_ENDPOINT_URL"] == "http://s3.example.com"
    assert seen["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] == "s3://bucket/history"


@pytest.mark.parametrize("asked", [{"database": True}, {"artifacts": "s3://bucket"}])
def test_what_is_not_elsewhere_is_on_the_volume(asked):
    assert "PersistentVolumeClaim" in rendered(**asked)


def test_settings_do_not_go_over_what_the_server_needs():
    seen = variables(rendered({"MLFLOW_DISABLE_TELEMETRY": "false", "AWS_REQUEST_CHECKSUM_CALCULATION": "always"}))
    assert seen["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert seen["AWS_REQUEST_CHECKSUM_CALCULATION"] == "always"


def test_a_pod_is_not_root_and_has_no_rights():
    spec = pod(rendered())["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["fsGroup"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    rights = server(rendered())["securityContext"]
    assert rights["readOnlyRootFilesystem"]
    assert rights["capabilities"] == {"drop": ["ALL"]}


def test_it_is_started_and_kept_by_its_own_health():
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server(rendered())[probe]["httpGet"] == {"path": "/health", "port": "http"}
    assert pod(rendered())["metadata"]["annotations"] == {REVISION: "0a1b2c3d"}


def test_only_labelled_pods_reach_it_unless_it_is_exposed():
    policy = rendered()["NetworkPolicy"]["spec"]
    assert policy["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {CLIENT: NAME}}}]
    assert policy["egress"] == []
    assert policy["podSelector"] == {"matchLabels": {INSTANCE: NAME}}
    assert "Egress" not in rendered(**ELSEWHERE)["NetworkPolicy"]["spec"]["policyTypes"], "its database is elsewhere"
    assert rendered()["Service"]["spec"]["type"] == "ClusterIP"
    assert "Ingress" not in rendered()
    open_to_all = rendered(expose="ingress", host="runs.example.com", tls_secret="cert")
    assert "from" not in open_to_all["NetworkPolicy"]["spec"]["ingress"][0]


def test_an_ingress_has_its_host_and_asks_for_its_login():
    found = rendered(
        expose="ingress", host="runs.example.com", tls_secret="cert", ingress_annotations={"auth": "basic"}
    )
    assert found["Ingress"]["metadata"]["annotations"] == {"auth": "basic"}
    assert "annotations" not in found["Service"]["metadata"]
    seen = variables(found)
    assert "runs.example.com" in seen["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert seen["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://runs.example.com"
    assert TrackingSpec(expose="ingress", host="a.example.com").url == "http://a.example.com"


def test_it_is_known_by_local_port_and_cluster_names():
    hosts = variables(rendered())["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"127.0.0.1:*", "localhost:*", f"{NAME}.trainstack-tests.svc:*"} <= set(hosts)
    assert "*" not in hosts


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"artifacts": "gs://bucket"}, "artifacts 'gs://bucket' is no address of a bucket"),
        ({"size_gib": 0}, "tracking: size_gib: "),
        ({"memory_gib": 0.5}, "tracking: memory_gib: "),
        ({"cpu": 0}, "tracking: cpu: "),
        ({"expose": "node-port"}, "tracking: expose: "),
        ({"expose": "ingress"}, "an ingress takes a host"),
        ({"host": "a.example.com"}, "a host an ingress"),
        ({"expose": "ingress", "host": "not a host"}, "is no name of a host"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        checked(TrackingSpec, asked, "tracking")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mysql://u:hush@db/mlflow", "is no address of a PostgreSQL database"),
        ("postgresql://u:hush@/mlflow", "is no address of a PostgreSQL database"),
        ("postgresql://u:hush@db", "is no address of a PostgreSQL database"),
        ("postgresql://u:hush@127.0.0.1/mlflow", "which pods cannot reach"),
    ],
)
def test_an_impossible_database_is_refused_without_password(address, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        check_database(address)
    assert "hush" not in str(caught.value)


def test_a_database_gets_the_driver_that_the_image_has():
    for address in ("postgresql://u:p@db/m", "postgres://u:p@db/m", "postgresql+psycopg2://u:p@db/m"):
        check_database(address)
        assert with_driver(address) == "postgresql+psycopg2://u:p@db/m"


def test_a_crash_loop_says_how_the_container_ended():
    ended = {"reason": "Error", "exitCode": 1, "message": "password refused\n", "containerID": "c://2"}
    resting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    status = {"name": "server", "state": {"waiting": resting}, "lastState": {"terminated": ended}}
    found = {"status": {"containerStatuses": [status]}}
    said = "its container server ended (Error, exit code 1, password refused)"
    assert pending_reason(found, ("server",)) == (said, True)
    assert ended_container(found, "server") == "c://2"


UPGRADE = """
import sqlite3, sys
import serve_tracking
from alembic import command
from mlflow.store.db import utils

path = sys.argv[1]
address = f"sqlite:///{path}"
serve_tracking.make_ready(address)
with sqlite3.connect(path) as made:
    made.execute("insert into experiments (name, lifecycle_stage, workspace) values ('kept', 'active', 'default')")
# As an older MLflow left it: the newest step taken back.
config = utils._get_alembic_config(address)
config.attributes["connection"] = utils.create_sqlalchemy_engine(address).connect()
command.downgrade(config, "-1")
print(serve_tracking.outdated(address))
serve_tracking.make_ready(address)
print(serve_tracking.outdated(address))
serve_tracking.bring_up = None
serve_tracking.make_ready(address)
"""


def test_the_database_file_is_whole_and_upgraded_aside(tmp_path):
    spec = environment.get_curated(ENVIRONMENT)
    python = environment.build(spec, environment.lock(spec)).python
    path = tmp_path / "mlflow.db"
    # What one that was killed left behind.
    (tmp_path / "mlflow.db.new").write_bytes(b"half")
    program = Path(serve_tracking.__file__).parent
    done = subprocess.run([python, "-c", UPGRADE, path], cwd=program, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "False"], done.stderr
    assert [it.name for it in tmp_path.iterdir()] == ["mlflow.db"]
    with closing(sqlite3.connect(path)) as made:
        assert made.execute("select count(*) from experiments where name = 'kept'").fetchall() == [(1,)]


def test_why_it_does_not_start_is_one_line_without_the_password():
    class Wrapped(Exception):
        orig = ConnectionError("connection to hush@db failed:\n\tpassword hush%40db")

    said = serve_tracking.report_failure(
        Wrapped("(driver.Error) too much\n(Background on this error at: https://…)"),
        "postgresql+psycopg2://u:hush%40db@db/m",
    )
    assert said == "connection to *** failed: password ***"


@needs_cluster
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {**ELSEWHERE, "secrets": SECRETS},
        {"expose": "ingress", "host": "runs.example.com", "ingress_class": "nginx", "tls_secret": "cert"},
    ],
)
def test_a_real_api_server_takes_every_object_as_it_stands(asked):
    for thing in rendered(**asked).values():
        taken(thing)
