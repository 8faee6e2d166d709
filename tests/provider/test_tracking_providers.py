"""A tracking server on a cluster as Pulumi's verbs see it: what is refused in check, and when its pod is another."""

import pytest
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.images.image import Image
from trainstack.core.tracking import cluster_server, tracking_server
from trainstack.core.tracking.settings import ClusterServer, read_settings
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.provider import images
from trainstack.provider.kubernetes.tracking_image import TrackingImageProvider
from trainstack.provider.kubernetes.tracking_server import TrackingServerProvider
from trainstack.targets.kubernetes.objects import namespace

IMAGE = {
    "name": "ws",
    "registry": {"address": "registry.example.com", "username": ""},
    "registry_password": "",
    "compute": {"target": "kubernetes"},
    "secrets": {},
}
SERVER = {
    "name": "ws-tracking-shop-prod",
    "workspace": "ws",
    "cluster": {"namespace": "history", "pending_deadline": 60.0},
    "server": {"expose": "port-forward"},
    "settings": {},
    "container": {"image": "i", "python": "p", "revision": "0a1b"},
}


def refused(provider, inputs):
    [failure] = provider.check({}, inputs).failures
    assert "\n" not in failure.reason
    return failure.reason


def test_a_registry_and_a_database_that_can_be_are_needed():
    provider = TrackingImageProvider()
    assert "the workspace has none" in refused(provider, {**IMAGE, "registry": None})
    secrets = {"MLFLOW_BACKEND_STORE_URI": "postgresql://u:hush@localhost/m"}
    said = refused(provider, {**IMAGE, "secrets": secrets})
    assert "localhost, which pods cannot reach" in said
    assert "hush" not in said
    for later in (UNKNOWN, {"MLFLOW_BACKEND_STORE_URI": UNKNOWN}):
        assert not provider.check({}, {**IMAGE, "secrets": later}).failures


def test_another_mlflow_is_another_image():
    provider = TrackingImageProvider()
    now = provider.check({}, IMAGE).inputs
    assert not provider.diff("ws", now, now).changes
    assert provider.diff("ws", {**now, "environment": "older"}, now).changes


def test_the_mark_of_the_secrets_changes_and_tells_none(monkeypatch):
    monkeypatch.setattr(images, "ensure", lambda *_: Image(reference="r/i@sha256:0"))
    provider = TrackingImageProvider()
    first = provider.create({**IMAGE, "secrets": {"A": "hush"}}).outs
    assert first is not None
    same = provider.update("ws", first, {**IMAGE, "secrets": {"A": "hush"}}).outs
    other = provider.update("ws", first, {**IMAGE, "secrets": {"A": "hush too"}}).outs
    assert same is not None
    assert other is not None
    assert first["container"] == same["container"]
    assert other["container"]["revision"] != first["container"]["revision"]
    again = provider.create({**IMAGE, "secrets": {"A": "hush"}}).outs
    assert again is not None
    assert again["container"]["revision"] != first["container"]["revision"], "it is drawn by lot"


def test_unreachable_buckets_and_absent_namespaces_are_refused(monkeypatch):
    monkeypatch.setattr(namespace, "look", lambda *_: None)
    provider = TrackingServerProvider()
    assert not provider.check({}, SERVER).failures
    bucket = {**SERVER, "server": {"artifacts": "s3://b"}, "settings": {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}}
    assert "tracking: artifacts: AWS_ENDPOINT_URL is http://127.0.0.1:9000, which pods cannot" in refused(
        provider, bucket
    )
    closed = {**SERVER, "cluster": {"namespace": "history", "create_namespace": False}}
    assert "there is no namespace history" in refused(provider, closed)

    def off(*_):
        raise TrainstackError("https://c does not answer")

    monkeypatch.setattr(namespace, "look", off)
    assert not provider.check({}, closed).failures, "a cluster that is off is a warning"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    made = Workspace.create(tmp_path / "ws", "ws")
    tracking_server.declare(made, None, ClusterServer("", "history", SERVER["name"]))
    return made


def test_up_waits_for_the_pod_and_tells_the_local_port(workspace, monkeypatch):
    waited = []
    monkeypatch.setattr(cluster_server, "await_answering", lambda *given: waited.append(given[1:3]))
    made = TrackingServerProvider().create(SERVER).outs
    assert made is not None
    assert waited == [(SERVER["name"], "0a1b")]
    assert made["address"] == read_settings(workspace).address


@pytest.mark.parametrize(("found", "drift"), [(None, []), ("its Deployment is gone", ["its Deployment is gone"])])
def test_refresh_finds_that_its_deployment_is_gone(workspace, monkeypatch, found, drift):
    monkeypatch.setattr(cluster_server, "drift", lambda *_: found)
    read = TrackingServerProvider().read("id", SERVER).outs
    assert read is not None
    assert read["drift"] == drift
    assert read["address"] == read_settings(workspace).address


def test_a_cluster_that_does_not_answer_tells_nothing_of_it(workspace, monkeypatch):
    def off(*_):
        raise TrainstackError("https://c does not answer")

    monkeypatch.setattr(cluster_server, "drift", off)
    assert TrackingServerProvider().read("id", SERVER).id == "id"


def test_the_end_of_a_server_ends_no_way_to_another(workspace, monkeypatch):
    stopped = []
    monkeypatch.setattr(tracking_server, "stop", stopped.append)
    TrackingServerProvider().delete("id", {**SERVER, "name": "other"})
    assert not stopped
    TrackingServerProvider().delete("id", SERVER)
    assert stopped == [workspace]
