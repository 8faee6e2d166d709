"""Each provider's verbs, called directly over a real workspace."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.services.runners import cluster as cluster_runner
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import WorkspaceNotFoundError
from trainstack.provider.compute import ComputeProvider
from trainstack.provider.dataset import DatasetProvider
from trainstack.provider.environment import EnvironmentProvider
from trainstack.provider.kubernetes.service_image import ServiceImageProvider
from trainstack.provider.model import ModelProvider
from trainstack.provider.sweep import SweepProvider
from trainstack.provider.training_run import TrainingRunProvider
from trainstack.provider.web_service import WebServiceProvider, new_key
from trainstack.provider.workspace import WorkspaceProvider
from trainstack.targets.kubernetes.checks import prerequisites


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


def deployed(provider, inputs, olds=None) -> tuple[str, dict[str, Any]]:
    """Check and create, as the engine does; the state that comes of it."""
    result = provider.check(olds or {}, inputs)
    assert [failure.reason for failure in result.failures] == []
    created = provider.create(result.inputs)
    assert created.outs is not None
    return created.id, created.outs


def updated(provider, id_, olds, news) -> dict[str, Any]:
    outs = provider.update(id_, olds, news).outs
    assert outs is not None
    return outs


def reread(provider, id_, state) -> dict[str, Any]:
    outs = provider.read(id_, state).outs
    assert outs is not None
    return outs


def refused(provider, inputs):
    [failure] = provider.check({}, inputs).failures
    assert "\n" not in failure.reason
    return failure.reason


def test_a_workspace_is_made_found_and_missed(tmp_path):
    provider = WorkspaceProvider()
    id_, state = deployed(provider, {"name": "mine", "root": "store"})
    assert (tmp_path / "store" / "workspace.json").is_file()
    assert provider.read(id_, state).id == "mine"
    assert provider.diff(id_, state, {"name": "mine", "root": "store"}).changes is False
    assert provider.diff(id_, state, {"name": "mine", "root": "elsewhere"}).replaces == ["root"]
    (tmp_path / "store" / "workspace.json").unlink()
    for verb in (
        lambda: provider.read(id_, state),
        lambda: provider.diff(id_, state, {"name": "mine", "root": "store"}),
    ):
        with pytest.raises(WorkspaceNotFoundError, match=r"is gone from .*; lost for good, it begins anew"):
            verb()
    provider.delete(id_, state)


def test_a_workspace_begun_anew_gets_its_settings_back(tmp_path):
    provider = WorkspaceProvider()
    inputs = {"name": "mine", "root": "store", "quota_gib": 2, "tracking_uri": "https://mlflow.example.com"}
    id_, state = deployed(provider, inputs)
    shutil.rmtree(tmp_path / "store")
    Workspace.create(tmp_path / "store", "mine", state["workspace_id"])
    drifted = reread(provider, id_, state)
    assert drifted["drift"] == ["its quota is gone", "its history is kept on this machine"]
    assert provider.diff(id_, drifted, inputs).changes is True
    settled = updated(provider, id_, drifted, inputs)
    assert settled["tracking_address"] == "https://mlflow.example.com"
    assert reread(provider, id_, settled)["drift"] == []


def test_what_is_in_another_workspace_is_not_read_as_gone(workspace, tmp_path):
    (tmp_path / "numbers.txt").write_text("1")
    inputs = {"workspace": "ws", "name": "numbers", "paths": ["numbers.txt"], "urls": []}
    id_, state = deployed(DatasetProvider(), inputs)
    shutil.rmtree(workspace.root)
    Workspace.create(workspace.root, "ws")
    read = DatasetProvider().read(id_, state)
    assert (read.id, read.outs) == (id_, state)


def test_what_is_in_an_absent_workspace_is_not_read_as_gone(workspace, tmp_path):
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("1")
    inputs = {"workspace": "ws", "name": "numbers", "paths": ["numbers.txt"], "urls": []}
    id_, state = deployed(DatasetProvider(), inputs)
    workspace.root.rename(tmp_path / "elsewhere")
    for provider in (
        DatasetProvider(),
        ComputeProvider(),
        TrainingRunProvider(),
        ModelProvider(),
        SweepProvider(),
        WebServiceProvider(),
    ):
        before = {**state, "model_digest": "", "run_id": "r1", "sweep_id": "s1"}
        read = provider.read(id_, before)
        assert (read.id, read.outs) == (id_, before)


def test_a_workspace_says_where_its_history_is(tmp_path):
    provider = WorkspaceProvider()
    id_, state = deployed(provider, {"name": "mine", "root": "store"})
    assert state["tracking_address"].startswith("http://127.0.0.1:")
    assert reread(provider, id_, state)["tracking_address"] == state["tracking_address"]
    news = {"name": "mine", "root": "store", "tracking_uri": "https://mlflow.example.com/"}
    assert provider.diff(id_, state, news).changes is True
    assert updated(provider, id_, state, news)["tracking_address"] == "https://mlflow.example.com"
    provider.delete(id_, state)
    assert "no address of a server" in refused(provider, {**news, "tracking_uri": "mlflow.example.com"})
    assert "MLFLOW_TRACKING_TOKEN" in refused(provider, {**news, "tracking_uri": "https://me:secret@example.com"})


def test_workspace_quota_is_set_and_lifted(tmp_path):
    provider = WorkspaceProvider()
    plain = {"name": "mine", "root": "store"}
    id_, state = deployed(provider, {**plain, "quota_gib": 0.5})
    assert Workspace.open(tmp_path / "store").quota == 2**29
    deployed(provider, plain)
    assert Workspace.open(tmp_path / "store").quota == 2**29
    assert provider.diff(id_, state, plain).changes is True
    updated(provider, id_, state, plain)
    assert Workspace.open(tmp_path / "store").quota is None
    assert "quota_gib must be a number over 0, not -1" in refused(provider, {**plain, "quota_gib": -1})


def test_a_workspace_name_that_cannot_be_a_folder_is_refused():
    assert "name '../x' is not usable" in refused(WorkspaceProvider(), {"name": "../x", "root": "store"})


def test_the_root_of_another_workspace_is_refused(tmp_path):
    Workspace.create(tmp_path / "theirs", "theirs")
    refusal = refused(WorkspaceProvider(), {"name": "mine", "root": "theirs"})
    assert "is the workspace 'theirs', not 'mine': choose another root or that name" in refusal


def test_an_address_of_a_wrong_form_is_refused():
    refusal = refused(WorkspaceProvider(), {"name": "mnist", "root": "s3://Bucket/prefix"})
    assert refusal.startswith("root 's3://Bucket/prefix' is no address of a bucket: write s3://BUCKET/FOLDER")


def test_a_compute_changes_in_place_and_another_name_is_another(workspace):
    provider = ComputeProvider()
    inputs = {"workspace": "ws", "name": "c", "max_nodes": 1.0}
    id_, state = deployed(provider, inputs)
    assert state["node"]["cpus"] >= 1
    assert None not in state["node"].values()
    bigger = provider.diff(id_, state, {**inputs, "idle_seconds_before_scaledown": 60.0})
    assert (bigger.changes, bigger.replaces) == (True, [])
    assert provider.diff(id_, state, {**inputs, "name": "d"}).replaces == ["name"]


def test_check_digests_local_data(workspace, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1")
    provider = DatasetProvider()
    inputs = {"workspace": "ws", "name": "d", "paths": ["data"], "urls": [], "sha256": {}, "tags": {}}
    id_, state = deployed(provider, inputs)
    assert state["version"] == 1
    unchanged = provider.check(state, inputs).inputs
    assert provider.diff(id_, state, unchanged).changes is False
    (tmp_path / "data" / "a.csv").write_text("2")
    changed = provider.check(state, inputs).inputs
    assert provider.diff(id_, state, changed).changes is True
    assert updated(provider, id_, state, changed)["version"] == 2


def test_a_local_file_that_is_not_as_promised_is_refused(workspace, tmp_path):
    (tmp_path / "a.csv").write_text("1")
    inputs = {"workspace": "ws", "name": "d", "paths": ["a.csv"], "urls": []}
    reason = refused(DatasetProvider(), {**inputs, "sha256": {"a.csv": "0" * 64}})
    assert "a.csv has SHA-256" in reason
    assert "not the promised 0000" in reason
    assert "begins with 31, not with 32" in refused(DatasetProvider(), {**inputs, "magic": {"a.csv": "32"}})


def test_environment_lists_packages_and_reports_damage(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    provider = EnvironmentProvider()
    inputs = {"spec": {"name": "tiny", "packages": ["six==1.17.0"]}}
    id_, state = deployed(provider, inputs)
    assert state["packages"] == {"six": "1.17.0"}
    assert reread(provider, id_, state)["drift"] == []
    [python] = (tmp_path / "cache" / "environments").glob("*/venv/bin/python")
    python.unlink()
    drifted = reread(provider, id_, state)
    assert drifted["drift"]
    assert provider.diff(id_, drifted, provider.check(state, inputs).inputs).changes is True
    mended = updated(provider, id_, drifted, provider.check(state, inputs).inputs)
    assert reread(provider, id_, mended)["drift"] == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"curated": "nothing-1.0"}, "nothing-1.0"),
        ({"packages": ["not a requirement !"]}, "not a requirement"),
        ({"requirements_file": "absent.txt"}, "absent.txt"),
        ({"conda_file": "absent.yml"}, "absent.yml"),
        ({"packages": ["six==0.0.0.1"]}, "six"),
        ({"packages": ["six"], "python": "2.7"}, "2.7"),
    ],
)
def test_a_wrong_environment_is_refused_in_preview(spec, words):
    assert words in refused(EnvironmentProvider(), {"spec": {"name": "e", **spec}})


def test_a_requirements_file_is_read_from_the_project(tmp_path):
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    inputs = EnvironmentProvider().check({}, {"spec": {"name": "e", "requirements_file": "requirements.txt"}}).inputs
    assert inputs["packages"] == {"six": "1.17.0"}


@pytest.fixture
def model_inputs(workspace, tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "weights").write_text("1")
    return {"workspace": "ws", "name": "m", "path": "net", "framework": "TensorFlow", "tags": {}}


def test_only_changed_files_make_a_new_version(model_inputs, tmp_path):
    provider = ModelProvider()
    id_, state = deployed(provider, model_inputs)
    assert updated(provider, id_, state, {**model_inputs, "description": "new"})["version"] == 1
    (tmp_path / "net" / "weights").write_text("2")
    assert updated(provider, id_, state, model_inputs)["version"] == 2


def test_other_bytes_at_a_models_path_are_seen_in_preview(model_inputs, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("trainstack.provider.resource_log._log", lambda _urn, text, **_how: said.append(text))
    provider = ModelProvider()
    id_, state = deployed(provider, model_inputs)
    assert not provider.diff(id_, state, provider.check(state, model_inputs).inputs).changes
    (tmp_path / "net" / "weights").write_text("22")
    (tmp_path / "net" / "more").write_text("3")
    inputs = provider.check(state, model_inputs).inputs
    assert provider.diff(id_, state, inputs).changes
    assert said[-1] == "new version: more added; weights changed"
    after = updated(provider, id_, state, inputs)
    assert (after["version"], after["digest"]) == (2, inputs["digest"])
    assert not provider.diff(id_, after, provider.check(after, model_inputs).inputs).changes


@pytest.mark.parametrize(
    ("status", "path", "refusal"),
    [
        (Status.COMPLETED, "outputs/modle", "model m: run r1 left nothing at 'outputs/modle': its outputs are empty"),
        (Status.COMPLETED, "outputs/model", ""),
        (Status.COMPLETED, "outputs/model/weights", ""),
        (Status.COMPLETED, "outputs", ""),
        (Status.RUNNING, "outputs/modle", ""),
    ],
)
def test_a_path_that_a_finished_run_left_empty_is_refused(workspace, model_inputs, status, path, refusal):
    run = RunDirectory(workspace.run("r1"))
    run.root.mkdir(parents=True)
    # The file itself may be gone: the next update puts it back.
    outputs = {"model/weights": "d" * 64}
    run.write(RunRecord(id="r1", name="r", status=status, created=0, updated=0, outputs=outputs))
    inputs = {**model_inputs, "run_id": "r1", "path": path}
    failures = ModelProvider().check({}, inputs).failures
    assert [failure.reason for failure in failures] == ([refusal] if refusal else [])


def test_a_lost_model_file_is_found_and_mended(model_inputs):
    provider = ModelProvider()
    id_, state = deployed(provider, model_inputs)
    Path(state["directory"], "weights").unlink()
    drifted = reread(provider, id_, state)
    assert drifted["drift"] == ["weights: gone"]
    assert updated(provider, id_, drifted, model_inputs)["version"] == 1
    assert reread(provider, id_, state)["drift"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "absent"}, "nothing at absent"),
        ({"name": "a/b"}, "name 'a/b' is not usable"),
        ({"run_id": UNKNOWN, "path": "../../etc"}, "must lead into the run"),
        ({"run_id": UNKNOWN, "path": "/etc"}, "must lead into the run"),
        ({"resource_configuration": {"cpu": "many"}}, "resource_configuration.cpu"),
    ],
)
def test_a_wrong_model_is_refused_in_preview(model_inputs, change, words):
    assert words in refused(ModelProvider(), {**model_inputs, **change})


def test_a_port_that_somebody_listens_on_is_refused_in_preview(workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        reason = refused(WebServiceProvider(), {"workspace": "ws", "name": "s", "port": float(port)})
    assert str(port) in reason


def test_a_service_follows_its_model_in_place():
    provider = WebServiceProvider()
    state = {"workspace": "ws", "name": "s", "port": 0.0, "model_name": "m", "model_version": 1.0, "model_digest": "a"}
    assert provider.diff("s", state, {**state}).changes is False
    changed = provider.diff("s", state, {**state, "model_version": UNKNOWN, "model_digest": UNKNOWN})
    assert (changed.changes, changed.replaces) == (True, [])


SERVICE = {"workspace": "ws", "name": "s", "port": 0.0, "model_name": "m", "model_version": 1.0, "model_digest": "a"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"host": "0.0.0.0"},
            "host 0.0.0.0 is not this machine alone, so it takes a key: set key_rotation to any text",
        ),
        ({"host": "example.org"}, "host 'example.org' is no address"),
        ({"traffic": {"new": 1.0}}, "version 'new' is no number of a version, and not 'latest'"),
        ({"traffic": {"1": -1.0}}, "shares are whole numbers from 0 on"),
        ({"traffic": {"1": 0.0}}, "and one is more than 0"),
        ({"mirror": "x"}, "version 'x'"),
        ({"labels": {"stable": "x"}}, "version 'x'"),
        ({"tls_certificate": "a.pem"}, "tls_certificate and tls_key go together"),
        ({"tls_certificate": "a.pem", "tls_key": "b.pem"}, "tls_certificate a.pem is no file"),
        ({"capture": 2.0}, "capture: Input should be less than or equal to 1, not 2"),
        ({"runtime": "onnx"}, "runtime: Input should be 'auto' or 'tensorflow', not 'onnx'"),
        ({"workers": 0.0}, "workers"),
    ],
)
def test_a_wrong_service_is_refused_in_preview(change, words):
    assert words in refused(WebServiceProvider(), {**SERVICE, **change})


ON_A_CLUSTER = {
    "compute": {"target": "kubernetes"},
    "registry": {"address": "registry.example.com"},
    "object_name": "s-shop-prod",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"capture": 0.1}, "capture is for services of this machine: leave out capture or compute"),
        ({"host": "0.0.0.0"}, "host is for services of this machine: leave out host (on a cluster, kubernetes has"),
        ({"tls_certificate": "a.pem", "tls_key": "b.pem"}, "tls_certificate is for services of this machine"),
        ({"server_image": "tensorflow/serving:2.15.1"}, "server_image is for server 'tensorflow-serving'"),
        ({"server": "tensorflow-serving"}, "server 'tensorflow-serving' is for a compute with target 'docker'"),
    ],
)
def test_unsupported_cluster_service_is_refused_in_preview(change, words):
    said = refused(WebServiceProvider(), {**SERVICE, **ON_A_CLUSTER, **change})
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("change", [{"traffic": {"1": 1.0}}, {"mirror": "1"}, {"labels": {"stable": "1"}}])
def test_service_image_holds_shares_mirror_and_labels(change):
    olds = {**SERVICE, **ON_A_CLUSTER}
    assert not ServiceImageProvider().diff("s", olds, olds).changes
    assert ServiceImageProvider().diff("s", olds, {**olds, **change}).changes


def test_a_key_for_tensorflow_serving_is_refused_in_preview():
    inputs = {**SERVICE, "compute": {"target": "docker"}, "server": "tensorflow-serving", "key_rotation": "1"}
    assert "leave out key_rotation" in refused(WebServiceProvider(), inputs)


@pytest.mark.parametrize(
    "serving", [{"expose": "node-port", "node_port": 30099.0}, {"expose": "ingress", "host": "m.example.com"}]
)
def test_services_cannot_share_a_cluster_port_or_host(serving, monkeypatch):
    monkeypatch.setattr(cluster_runner, "_OWNERS", {})
    monkeypatch.setattr(prerequisites, "check", lambda *_: None)
    one = {**SERVICE, **ON_A_CLUSTER, "serving": serving}
    provider = WebServiceProvider()
    assert provider.check({}, one).failures == provider.check({}, one).failures == []
    said = refused(provider, {**one, "name": "t", "object_name": "t-shop-prod"})
    assert "is that of s-shop-prod already: take another" in said


def test_a_key_is_kept_until_its_rotation_changes():
    first = new_key({"key_rotation": "1"}, {})
    assert len(first) > 40
    assert new_key({"key_rotation": "1"}, {"key_rotation": "1", "key": first}) == first
    assert new_key({"key_rotation": "2"}, {"key_rotation": "1", "key": first}) not in ("", first)
    assert new_key({}, {"key_rotation": "1", "key": first}) == ""


@pytest.mark.parametrize("provider", [TrainingRunProvider(), SweepProvider()])
@pytest.mark.parametrize(
    ("root", "finished", "line"),
    [
        ("b", {}, ": workspace a → b"),
        (UNKNOWN, {}, ": workspace may change"),
        ("b", {"run_id": "r1", "sweep_id": "r1", "status": "completed"}, "r1, nothing trains: workspace a → b"),
    ],
)
def test_another_workspace_makes_another_resource(provider, root, finished, line, monkeypatch):
    said = []
    monkeypatch.setattr("trainstack.provider.resource_log._log", lambda _urn, text, **_how: said.append(text))
    state = {"workspace": "a", "name": "r", "fingerprint": "f", "urn": "urn"}
    difference = provider.diff("r1", state, {**state, "workspace": root, **finished})
    assert difference.replaces == ["workspace"]
    assert said[0].endswith(line)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"script": "absent.py"}, "script 'absent.py' is not in"),
        ({"script": "", "module": "package.absent"}, "module 'package.absent' is not in"),
        ({"module": "train"}, "a script or a module, and not both"),
        ({"script": ""}, "a script or a module, and not both"),
        ({"source_directory": "absent"}, "absent' is not a folder"),
        ({"source_limit_bytes": 1}, "over the limit of 1"),
        ({"arguments": {"--lr 1": 2}}, "argument name '--lr 1'"),
        ({"arguments": {"--data": "${dataset:other}"}}, "dataset 'other'"),
        ({"environment_variables": {"A=B": "1"}}, "'A=B'"),
        ({"environment_variables": {"MLFLOW_TRACKING_URI": "http://x"}}, "variable MLFLOW_TRACKING_URI is set by"),
        ({"secret_variables": {"TRAINSTACK_RANK": "1"}}, "take a name that does not begin with TRAINSTACK_"),
        ({"environment_spec": {"name": "x", "variables": {"MLFLOW_ALLOW_FILE_STORE": "0"}}}, "give `tracking_uri`"),
        (
            {"environment_variables": {"TF_CONFIG": "{}"}, "distribution": {"kind": "tensorflow", "workers": 2.0}},
            "variable TF_CONFIG is set by Trainstack: `distribution` says what is in it",
        ),
        (
            {"secret_variables": {"HOROVOD_RANK": "1"}, "distribution": {"kind": "horovod"}},
            "variable HOROVOD_RANK is set by Trainstack: each rank of `distribution` gets its own",
        ),
        (
            {
                "environment_variables": {"HOROVOD_FUSION_THRESHOLD": 1.0},
                "distribution": {"kind": "horovod", "fusion_threshold_mb": 2.0},
            },
            "HOROVOD_FUSION_THRESHOLD is set by Trainstack: an option of `distribution` gives it already",
        ),
        (
            {"environment_variables": {"KEY": "1"}, "secret_variables": {"KEY": "2"}},
            "variable KEY is declared twice, once as a secret: leave out one",
        ),
        ({"secret_variables": {"KEY": "a\0b"}}, "secret variable KEY holds a NUL character"),
        ({"environment_variables": {"KEY": "a\0b"}}, "KEY holds a NUL character"),
        ({"timeout": "soon"}, "timeout must be a number"),
        ({"max_attempts": 0.0}, "run: max_attempts: Input should be greater than or equal to 1, not 0"),
        ({"backoff": -1.0}, "run: backoff: Input should be greater than or equal to 0, not -1"),
        ({"retry_exit_codes": ["x"]}, "run: retry_exit_codes.0: Input should be a valid integer"),
        ({"on_disconnect": "wait"}, "run: on_disconnect: Input should be 'continue' or 'stop', not 'wait'"),
        ({"distribution": {"kind": "horovod", "node_count": 2.0}}, "2 nodes are more than compute 'c'"),
        ({"distribution": {"kind": "horovod", "node_count": 1.0}}, "Horovod is not in the environment"),
        ({"compute": {"name": "c", "vm_size": "STANDARD_X"}}, "vm_size 'STANDARD_X'"),
        ({"environment_spec": {"name": "x", "packages": ["six=="]}}, "six=="),
        (
            {
                "registry": {"address": "registry.example.com"},
                "environment_spec": {"name": "x", "curated": "tensorflow-2.21"},
                "compute": {"name": "c", "target": "kubernetes", "vm_size": "Standard_NC4as_T4_v3"},
            },
            "compute 'c' has GPUs, and tensorflow-cpu trains on the processor alone",
        ),
    ],
)
def test_a_wrong_run_is_refused_in_preview(tmp_path, change, words):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "train.py").write_text("print(1)")
    inputs = {
        "workspace": "ws",
        "name": "r",
        "source_directory": "scripts",
        "script": "train.py",
        "arguments": {},
        "datasets": {},
        "environment_spec": {"name": "tiny", "packages": ["six==1.17.0"]},
        "environment_variables": {},
        "secret_variables": {},
        "distribution": {"kind": "single"},
        "compute": {"name": "c"},
    }
    assert words in refused(TrainingRunProvider(), {**inputs, **change})
