"""What a compute declares on a real cluster: made, used by runs, and gone again; what was found stays."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.core.cluster_volumes import bound_to, give_back
from tests.core.kubernetes_runs import needs_cluster, needs_kubectl
from tests.kubectl_objects import stand_in

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.timeout(600),
    needs_cluster,
    needs_kubectl,
]
NAMESPACE = "trainstack-tests-declared"
PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
registry = ts.Registry(address=config.require("registry"), username="puller", password="hush-registry")
workspace = ts.Workspace("tiny", ts.WorkspaceArgs(registry=registry))
cluster = ts.Compute("cluster", ts.ComputeArgs(
    workspace=workspace, target="kubernetes", vm_size="STANDARD_D1_V2", max_nodes=config.get_int("nodes") or 1,
    kubernetes=ts.KubernetesArgs(
        context=config.get("context"),
        namespace=config.require("namespace"),
        quota={"pods": "4", "requests.cpu": "2"},
        settings={"GREETING": "hello"},
        secret_settings={"TOKEN": pulumi.Output.secret("hush-setting")},
        claims=[ts.KubernetesClaim(path="/data", size_gib=1)],
    ),
))
if config.get_bool("run"):
    run = ts.TrainingRun("seen", ts.TrainingRunArgs(
        source_directory="scripts", script="train.py", compute=cluster,
        environment=ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"], compute=cluster)),
        environment_variables={"HIDDEN": "the run's own"},
    ))
    pulumi.export("path", run.path)
"""
SCRIPT = """
import json, os, pathlib
token = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
seen = {
    "greeting": os.environ["GREETING"], "token": len(os.environ["TOKEN"]), "api": token.exists(),
    "data": os.path.ismount("/data"),
}
pathlib.Path("outputs/seen.json").write_text(json.dumps(seen))
"""


def kubectl(*words, check=True):
    done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=check)
    return done.stdout


def there(kind, namespace=NAMESPACE):
    return json.loads(kubectl("-n", namespace, "get", kind, "-o", "json"))["items"]


@pytest.fixture
def tiny(project):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    project.variables |= stand_in.VARIABLES
    project.pulumi("config", "set", "registry", os.environ["TRAINSTACK_REGISTRY"])
    project.pulumi("config", "set", "namespace", NAMESPACE)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview", expect=None)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    for name in bound_to(NAMESPACE):
        give_back(name)


def test_objects_of_a_compute_are_created_used_and_removed(tiny):
    shown = tiny.preview().text
    for kind in ("namespace", "resourcequota", "serviceaccount", "secret", "configmap", "persistentvolumeclaim"):
        assert f"-{kind}" in shown, kind
    assert not kubectl("get", "namespace", NAMESPACE, "--ignore-not-found")
    tiny.pulumi("config", "set", "run", "true")
    up = tiny.up()
    assert "hush" not in shown + up.text
    state = tiny.pulumi("stack", "export").text
    assert "hush" not in state
    seen = json.loads(Path(tiny.outputs()["path"], "outputs", "seen.json").read_text())
    assert seen == {"greeting": "hello", "token": len("hush-setting"), "api": False, "data": True}
    [account] = [it for it in there("serviceaccount") if it["metadata"]["name"] != "default"]
    assert account["automountServiceAccountToken"] is False
    assert {it["type"] for it in there("secret")} == {"kubernetes.io/dockerconfigjson", "Opaque"}
    [claim] = there("persistentvolumeclaim")
    assert claim["status"]["phase"] == "Bound"
    tiny.unchanged()

    # Somebody else has come to use the namespace: it is not pulled away from under them.
    kubectl("-n", NAMESPACE, "create", "configmap", "of-somebody")
    refused = tiny.pulumi("destroy", "--yes", "--skip-preview", expect=None)
    assert refused.code
    line = refused.lines("of-somebody")[-1]
    assert f"namespace {NAMESPACE} stays, it still has ConfigMap of-somebody: take them away first" in line
    assert [it["metadata"]["name"] for it in there("configmap")] == ["kube-root-ca.crt", "of-somebody"]
    kubectl("-n", NAMESPACE, "delete", "configmap", "of-somebody")
    tiny.pulumi("destroy", "--yes", "--skip-preview")
    assert not kubectl("get", "namespace", NAMESPACE, "--ignore-not-found")


def test_an_existing_namespace_stays_with_its_other_objects(tiny):
    kubectl("create", "namespace", NAMESPACE)
    kubectl("-n", NAMESPACE, "create", "configmap", "of-somebody")
    tiny.up()
    assert len(there("resourcequota")) == 1
    tiny.pulumi("destroy", "--yes", "--skip-preview")
    assert not there("resourcequota")
    assert [it["metadata"]["name"] for it in there("serviceaccount")] == ["default"]
    assert "of-somebody" in [it["metadata"]["name"] for it in there("configmap")]


def test_what_cannot_be_is_one_line_in_preview(tiny):
    for setting, value, said in (
        # What a machine of that size leaves to a pod is less than its one CPU.
        ("nodes", "4", "kubernetes: 4 nodes ask for requests.cpu 2.62, and its quota allows 2 in namespace"),
        ("context", "no-such", "compute cluster: kubernetes: context 'no-such' is not in"),
    ):
        tiny.pulumi("config", "set", setting, value)
        refused = tiny.preview(expect=None)
        assert refused.code
        assert said in refused.lines("error: ")[-1] + refused.text
        assert "Traceback" not in refused.text
        tiny.pulumi("config", "rm", setting)


COMPUTES = """
import trainstack as ts

workspace = ts.Workspace("tiny")
KINDS = {
    "plain": ts.KubernetesArgs(),
    "queued": ts.KubernetesArgs(queue="research", pending_deadline=3600),
    "placed": ts.KubernetesArgs(
        node_selector={"pool": "gpu"}, tolerations=[{"key": "gpu"}, {"key": "s", "operator": "Equal", "value": "yes"}],
    ),
    "stored": ts.KubernetesArgs(
        store=ts.KubernetesVolume(size_gib=1), claims=[ts.KubernetesClaim(path="/data", size_gib=1, read_only=True)],
    ),
    "limited": ts.KubernetesArgs(quota={"pods": 40, "requests.cpu": "64"}),
    "told": ts.KubernetesArgs(settings={"GREETING": "hello"}, secret_settings={"TOKEN": "hush"}),
    "lent": ts.KubernetesArgs(service_account="default", pull_secrets=["login"], create_namespace=False),
}
for name, kubernetes in KINDS.items():
    kubernetes.namespace = "NAMESPACE"
    low = "low" if name == "placed" else "dedicated"
    args = ts.ComputeArgs(
        workspace=workspace, target="kubernetes", vm_size="STANDARD_D1_V2", kubernetes=kubernetes, priority=low,
    )
    ts.Compute(name, args)
"""


@pytest.mark.long
def test_nothing_has_drifted_on_computes_of_any_kind(tiny):
    tiny.write("__main__.py", COMPUTES.replace("NAMESPACE", NAMESPACE))
    tiny.up()
    tiny.unchanged()
    refreshed = tiny.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert not refreshed.lines("drift")
    tiny.unchanged()
    assert not tiny.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes").lines("drift")

    record = tiny.root / ".trainstack" / "tiny" / "computes" / "queued" / "compute.json"
    record.write_text(record.read_text().replace("research", "development"))
    tiny.pulumi("refresh", "--yes", "--skip-preview")
    assert "drifted: kubernetes.queue is development" in tiny.preview().text
    tiny.up()
    assert "research" in record.read_text()
    tiny.unchanged()
