"""A workspace's history on a real cluster: a server with a volume, and one with PostgreSQL and a bucket."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.core.kubernetes_runs import access, needs_cluster, needs_kubectl, reachable_endpoint
from tests.kubectl_objects import stand_in
from tests.waiting import until

from trainstack.errors import TrackingError
from trainstack.mlflow.rest_client import TrackingServer

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.timeout(900),
    needs_cluster,
    needs_kubectl,
]
NAMESPACE = "trainstack-tests-tracking"
TITLE = "ws-tracking-trainstack-test"
INSTANCE = f"app.kubernetes.io/instance={TITLE}"
USER = 10001
PROGRAM = """
import os
import pulumi
import trainstack as ts

config = pulumi.Config()
login = {name: pulumi.Output.secret(os.environ[name]) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
         if config.get("artifacts")}
workspace = ts.Workspace("ws", ts.WorkspaceArgs(
    registry=config.require("registry"),
    tracking=ts.ClusterTracking(
        kubernetes=ts.KubernetesArgs(
            namespace=config.require("namespace"),
            pending_deadline=300,
            settings={"AWS_ENDPOINT_URL": config.get("endpoint") or "", "AWS_REGION": "us-east-1"},
            secret_settings=login,
        ),
        database=config.get_secret("database"),
        artifacts=config.get("artifacts"),
        size_gib=1,
        storage_class=config.get("storage-class"),
        cpu=0.1,
        memory_gib=1,
    ),
))
cluster = ts.Compute("here", ts.ComputeArgs(workspace=workspace))
run = ts.TrainingRun("fit", ts.TrainingRunArgs(
    source_directory="scripts", script="fit.py", arguments={"--degree": config.get_int("degree") or 1},
    compute=cluster, environment=ts.Environment("logging", ts.EnvironmentArgs(packages=["mlflow-skinny==3.17.2"])),
))
model = ts.Model("curve", ts.ModelArgs(run=run, path="outputs/model"))
pulumi.export("tracking_uri", workspace.tracking_uri)
pulumi.export("run", run.run_id)
"""
SCRIPT = """
import pathlib
import mlflow
mlflow.log_metric("loss", 0.25)
pathlib.Path("outputs/model").mkdir(parents=True)
pathlib.Path("outputs/model/weights.txt").write_text("1 2 3")
"""


def kubectl(*words, given=None):
    done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=True, input=given)
    return done.stdout


def there(kind):
    found = json.loads(kubectl("-n", NAMESPACE, "get", kind, "-l", INSTANCE, "-o", "json"))["items"]
    return [it for it in found if not it["metadata"].get("deletionTimestamp")]


def gone():
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s")


def node_address():
    return access().core.list_node().items[0].status.addresses[0].address


def node_is_here():
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind((node_address(), 0))
        return True
    return False


@pytest.fixture
def storage_class(tmp_path):
    """A class with one volume that the pod's group may write to, as storage drivers see to and `hostPath` does not."""
    if not node_is_here():
        # A cluster elsewhere has a storage driver.
        yield ""
        return
    folder = tmp_path / "volume"
    folder.mkdir()
    os.chown(folder, -1, USER)
    folder.chmod(0o2775)
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": str(folder)},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": NAMESPACE,
        },
    }
    # A claim that a killed test has left would hold it.
    gone()
    kubectl("delete", "pv", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    kubectl("apply", "-f", "-", given=json.dumps(volume))
    yield NAMESPACE
    kubectl("delete", "pv", NAMESPACE, "--ignore-not-found", "--timeout=60s")


@pytest.fixture
def tiny(project):
    gone()
    project.write("__main__.py", PROGRAM)
    project.write("scripts/fit.py", SCRIPT)
    project.variables |= {**stand_in.VARIABLES, "TRAINSTACK_TRACKING": ""}
    project.pulumi("config", "set", "registry", os.environ["TRAINSTACK_REGISTRY"])
    project.pulumi("config", "set", "namespace", NAMESPACE)
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview", expect=None)
    gone()


def shown(server, run):
    """The run as the server shows it when it has ended; none before, nor while the server is away."""
    with contextlib.suppress(TrackingError):
        found = server.find_run(server.experiment("ws"), "trainstack.run_id", run)
        seen = found and server.get("runs/get", run_id=found)["run"]
        return seen if seen and seen["info"]["status"] == "FINISHED" else None
    return None


def registered(server, version):
    with contextlib.suppress(TrackingError):
        return server.get_or_none("model-versions/get", name="curve", version=version)
    return None


def test_a_volume_keeps_the_history_beyond_pod_and_stack(storage_class, tiny):
    tiny.pulumi("config", "set", "storage-class", storage_class)
    tiny.up()
    outputs = tiny.outputs()
    assert outputs["tracking_uri"].startswith("http://127.0.0.1:")
    server = TrackingServer(outputs["tracking_uri"])
    seen = until(lambda: shown(server, outputs["run"]), 120)
    assert {it["key"]: it["value"] for it in seen["data"]["metrics"]}["loss"] == 0.25
    until(lambda: registered(server, "1"), 120)
    server.post("experiments/create", name="by somebody's hand")
    tiny.unchanged()

    [before] = there("pods")
    kubectl("-n", NAMESPACE, "delete", "pod", before["metadata"]["name"], "--wait=false")
    until(lambda: [it["metadata"]["uid"] for it in there("pods")] not in ([], [before["metadata"]["uid"]]), 240)
    tiny.pulumi("config", "set", "degree", "2")
    tiny.up()
    again = tiny.outputs()
    assert again["tracking_uri"] == outputs["tracking_uri"]
    until(lambda: shown(server, again["run"]), 240)
    assert shown(server, outputs["run"])

    kubectl("-n", NAMESPACE, "delete", "deployment", TITLE)
    assert "Deployment is gone" in tiny.pulumi("refresh", "--yes", "--skip-preview", "--diff").text

    tiny.pulumi("destroy", "--yes", "--skip-preview")
    assert not server.healthy(), "this machine's way to it is ended too"
    assert not there("deployments") + there("services") + there("networkpolicies")
    assert [it["status"]["phase"] for it in there("persistentvolumeclaims")] == ["Bound"]
    tiny.up()
    server = TrackingServer(tiny.outputs()["tracking_uri"])
    assert server.get("experiments/get-by-name", experiment_name="by somebody's hand")


BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None) or shutil.which("initdb")


@dataclass
class Database:
    """A PostgreSQL server: the folder of its socket, and where pods reach it."""

    folder: Path
    address: str
    port: int

    def sql(self, text):
        command = ["psql", "-h", self.folder, "-p", str(self.port), "-U", "mlflow", "-d", "postgres", "-Atc", text]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def named(self, password):
        self.sql(f"alter user mlflow password '{password}'")
        return f"postgresql://mlflow:{password}@{self.address}:{self.port}/postgres"


@pytest.fixture
def database():
    if BINARIES is None:
        pytest.skip("PostgreSQL is not installed")
    if not node_is_here():
        pytest.skip("the cluster does not reach a database of this machine")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("PostgreSQL does not run as root")
    programs = Path(BINARIES).parent
    # Not below pytest's own folder, which nobody else may look into.
    folder = Path(tempfile.mkdtemp(prefix="trainstack-tests-postgresql-"))
    address = node_address()
    as_user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "nobody")
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]

    def run(*words):
        # What goes on in the background keeps its output: nobody waits for the end of that.
        subprocess.run([*as_user, *words], check=True, stdout=subprocess.DEVNULL, cwd="/")

    run(programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "mlflow")
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
    settings = f"-c listen_addresses={address} -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    run(programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", settings, "start")

    yield Database(folder, address, port)
    run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


def test_history_in_postgresql_and_a_bucket_keeps_its_secrets(tiny, database):
    endpoint = reachable_endpoint()
    if not endpoint:
        pytest.skip("AWS_ENDPOINT_URL names no server for artifacts")
    tiny.pulumi("config", "set", "endpoint", endpoint)
    tiny.pulumi("config", "set", "artifacts", "s3://trainstack/tests-tracking")
    named = database.named("hush-right")
    tiny.pulumi("config", "set", "--secret", "database", named.replace("hush-right", "hush-wrong"))
    refused = tiny.up(expect=None)
    assert refused.code
    assert 'password authentication failed for user "mlflow"' in refused.text
    assert "Traceback" not in refused.text

    # Another password is another Secret, which a pod reads when it starts: it is replaced.
    tiny.pulumi("config", "set", "--secret", "database", named)
    up = tiny.up()
    outputs = tiny.outputs()
    server = TrackingServer(outputs["tracking_uri"])
    until(lambda: shown(server, outputs["run"]), 120)
    version = until(lambda: registered(server, "1"), 120)["model_version"]
    assert database.sql("select count(*) from model_versions") == "1"
    path = f"{version['source'].partition(':/')[2].lstrip('/')}/data/weights.txt"
    assert list_bucket(endpoint, "tests-tracking", path)
    assert not there("persistentvolumeclaims")
    key = os.environ["AWS_SECRET_ACCESS_KEY"]
    seen = kubectl("-n", NAMESPACE, "get", "deployments,pods,replicasets,configmaps,services", "-o", "json")
    state = tiny.pulumi("stack", "export").text
    for text in (up.text, refused.text, seen, state):
        assert "hush" not in text
        assert f'"{key}"' not in text
    tiny.pulumi("destroy", "--yes", "--skip-preview")
    assert not kubectl("get", "namespace", NAMESPACE, "--ignore-not-found"), "nothing was to be kept in it"
    assert database.sql("select count(*) from model_versions") == "1"


def list_bucket(endpoint, folder, path):
    """Whether the bucket has a file of a history; its folder is emptied."""
    import obstore
    from obstore.store import from_url

    store = from_url(
        f"s3://trainstack/{folder}", endpoint=endpoint, client_options={"allow_http": True}
    )  # fmt: skip
    found = [each["path"] for page in obstore.list(store) for each in page]
    obstore.delete(store, found)
    return path in found
