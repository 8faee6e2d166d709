"""What a workspace declares on a cluster for its history, under Pulumi's mocks."""

import base64
import json

import pulumi
import pytest
from pulumi.runtime import mocks, rpc

from trainstack.targets.kubernetes.objects import namespace

TITLE = "ws-tracking-shop-prod"
SECRET = rpc._special_sig_key
"""Key of what the engine encrypts."""


class Recorder(mocks.Mocks):
    def __init__(self):
        self.resources = {}

    def new_resource(self, args):
        self.resources[args.typ, args.name] = args.inputs
        container = {"image": "r/i@sha256:0", "python": "/opt/python", "revision": "0a1b"}
        made = {"root": "ws", "node": {"cpus": 1, "memory_gib": 1, "gpus": 0}, "tracking_address": "http://127.0.0.1:1"}
        return f"{args.name}-id", {**args.inputs, **made, "container": container, "address": "http://127.0.0.1:5100"}

    def call(self, args):
        return {}, None


@pytest.fixture
def declared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(namespace, "look", lambda *_: None)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    recorder = Recorder()
    mocks.set_mocks(recorder, project="shop", stack="prod")

    def declare(registry="registry.example.com", tracking_uri=None, compute=False, place=None, **asked):
        import trainstack as ts

        @pulumi.runtime.test
        def run():
            kubernetes = ts.KubernetesArgs(**{"namespace": "history", **(place or {})})
            workspace = ts.Workspace(
                "ws",
                ts.WorkspaceArgs(
                    registry=registry,
                    tracking_uri=tracking_uri,
                    tracking=ts.ClusterTracking(kubernetes=kubernetes, **asked),
                ),
            )
            if compute:
                where = ts.KubernetesArgs(namespace="history")
                args = ts.ComputeArgs(
                    workspace=workspace, vm_size="STANDARD_D1_V2", target="kubernetes", kubernetes=where
                )
                ts.Compute("k", args)
            return workspace.tracking_uri.apply(lambda found: recorder.resources.setdefault(("address", ""), found))

        run()
        return recorder.resources

    return declare


def of(found, kind):
    return {name: inputs for (token, name), inputs in found.items() if token.endswith(f":{kind}")}


def plain(value):
    """Without the wrapping that a secret has under mocks."""
    if isinstance(value, dict):
        return (
            plain(value["value"]) if "value" in value and len(value) == 2 else {k: plain(v) for k, v in value.items()}
        )
    return value


def test_it_declares_its_objects_and_gives_its_address(declared):
    found = declared(place={"context": "prod"})
    kinds = {token for token, _ in found}
    assert {
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:ServiceAccount",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:Service",
        "kubernetes:apps/v1:Deployment",
    } <= kinds
    assert "kubernetes:core/v1:Secret" not in kinds
    [deployment] = of(found, "Deployment").values()
    assert deployment["metadata"]["name"] == TITLE
    [server] = deployment["spec"]["template"]["spec"]["containers"]
    assert (server["image"], server["command"][0]) == ("r/i@sha256:0", "/opt/python")
    [provider] = (inputs for (token, _), inputs in found.items() if token == "pulumi:providers:kubernetes")
    assert (provider["context"], provider["upsertExistingObjects"]) == ("prod", "true")
    place = {"context": "prod", "namespace": "history", "name": TITLE}
    assert of(found, "Workspace")["ws"]["tracking"] == {"server": place, "url": ""}
    assert found["address", ""] == "http://127.0.0.1:5100"


def test_a_compute_of_the_same_namespace_shares_it(declared):
    found = declared(compute=True)
    assert list(of(found, "Namespace")) == ["ws-tracking"]
    assert set(of(found, "ServiceAccount")) == {"ws-tracking", "k"}


def test_database_and_credentials_are_in_the_secret_alone(declared):
    found = declared(
        database="postgresql://u:hush@db.example.com/m",
        artifacts="s3://bucket",
        place={"secret_settings": {"AWS_SECRET_ACCESS_KEY": pulumi.Output.secret("hush-too")}},
    )
    assert not of(found, "PersistentVolumeClaim")
    [secret] = of(found, "Secret").values()
    data = {key: base64.b64decode(text).decode() for key, text in plain(secret["data"]).items()}
    assert data == {
        "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://u:hush@db.example.com/m",
        "AWS_SECRET_ACCESS_KEY": "hush-too",
    }
    [image] = of(found, "TrackingImage").values()
    assert "hush" not in json.dumps({key: value for key, value in image.items() if key != "secrets"})
    assert SECRET in image["secrets"]
    others = [it for (token, _), it in found.items() if not token.endswith((":Secret", ":TrackingImage"))]
    assert "hush" not in json.dumps(others)
    [provider] = (inputs for (token, _), inputs in found.items() if token == "pulumi:providers:kubernetes")
    assert "upsertExistingObjects" not in provider, "nothing is kept that could be found again"


def test_the_registrys_login_is_what_the_server_is_pulled_with(declared):
    import trainstack as ts

    found = declared(registry=ts.Registry(address="r.example.com/team", username="u", password="hush"))
    assert list(of(found, "Secret")) == ["ws-tracking-pull"]
    [deployment] = of(found, "Deployment").values()
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": f"{TITLE}-pull"}]


def test_behind_an_ingress_its_address_is_the_ingresss(declared):
    found = declared(expose="ingress", host="runs.example.com", tls_secret="cert")
    assert of(found, "Ingress")
    assert of(found, "Workspace")["ws"]["tracking"]["url"] == "https://runs.example.com"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"registry": None}, "a cluster pulls the tracking server's image from a registry"),
        ({"tracking_uri": "https://mlflow.example.com"}, "but not both"),
        ({"expose": "ingress"}, "tracking: an ingress takes a host"),
        ({"artifacts": "/data"}, "artifacts '/data' is no address of a bucket"),
        ({"artifacts": pulumi.Output.from_input("s3://b")}, "tracking.artifacts is an output"),
        ({"place": {"queue": "team"}}, "tracking: kubernetes.queue is for a compute's runs"),
        ({"place": {"namespace": "My Team"}}, "namespace 'My Team' is no name"),
        ({"place": {"settings": {"a b": "c"}}}, "'a b' is no name of an environment variable"),
        ({"memory_gib": 0}, "tracking: memory_gib: "),
    ],
)
def test_what_cannot_be_is_one_line(declared, asked, said):
    with pytest.raises(pulumi.RunError, match=f"^workspace ws: .*{said}") as caught:
        declared(**asked)
    assert "\n" not in str(caught.value)
