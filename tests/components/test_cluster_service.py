"""What a web service declares on a cluster, under Pulumi's mocks: pulumi-kubernetes' resources as its children."""

import pulumi
import pytest
from pulumi.runtime import mocks

from trainstack.components.kubernetes import objects


class Recorder(mocks.Mocks):
    def __init__(self):
        self.resources = {}
        self.ignored = {}

    def new_resource(self, args):
        self.resources[args.typ] = args.inputs
        container = {"image": "r/i@sha256:0", "command": ["c"], "health": ["h"], "digest": "d" * 64}
        made = {
            "version": 1,
            "digest": "d" * 64,
            "run_id": "r1",
            "key": "",
            "root": "ws",
            "directory": "ws/models/dnn/1",
        }
        return f"{args.name}-id", {**args.inputs, **made, "container": {**container, "cpu": "1", "memory": "1Gi"}}

    def call(self, args):
        return {}, None


@pytest.fixture
def declared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    recorder = Recorder()
    declare_object = objects.declare

    def noting(name, thing, connection, opts):
        recorder.ignored[thing["kind"]] = opts.ignore_changes
        return declare_object(name, thing, connection, opts)

    monkeypatch.setattr(objects, "declare", noting)
    mocks.set_mocks(recorder, project="shop", stack="prod")

    def declare(**asked):
        import trainstack as ts

        @pulumi.runtime.test
        def run():
            workspace = ts.Workspace("ws", ts.WorkspaceArgs(registry="registry.example.com"))
            cluster = ts.Compute(
                "k",
                ts.ComputeArgs(
                    workspace=workspace,
                    target="kubernetes",
                    vm_size="STANDARD_D1_V2",
                    kubernetes=ts.KubernetesArgs(context="prod", namespace="serving", create_namespace=False),
                ),
            )
            model = ts.Model("dnn", ts.ModelArgs(workspace=workspace, path="model"))
            how = ts.KubernetesServiceArgs(**asked)
            service = ts.WebService("mnist", ts.WebServiceArgs(model=model, compute=cluster, kubernetes=how))
            return service.scoring_uri

        run()
        return recorder

    return declare


def test_a_service_is_pulumi_kubernetes_resources_by_digest(declared):
    found = declared(min_replicas=2, max_replicas=4, expose="node-port", node_port=30080).resources
    assert {
        "pulumi:providers:kubernetes",
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:Service",
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        "kubernetes:policy/v1:PodDisruptionBudget",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    } <= found.keys()
    deployment = found["kubernetes:apps/v1:Deployment"]
    assert deployment["metadata"]["name"] == "mnist-shop-prod"
    assert deployment["metadata"]["namespace"] == "serving"
    [server] = deployment["spec"]["template"]["spec"]["containers"]
    assert server["image"] == "r/i@sha256:0"
    assert server["readinessProbe"]["exec"]["command"] == ["h"]
    assert found["kubernetes:core/v1:Service"]["spec"]["ports"][0]["nodePort"] == 30080
    assert found["pulumi:providers:kubernetes"]["context"] == "prod"


def test_kserve_is_one_inference_service(declared):
    found = declared(engine="kserve").resources
    assert found["kubernetes:serving.kserve.io/v1beta1:InferenceService"]["spec"]["predictor"]["minReplicas"] == 1
    assert "kubernetes:apps/v1:Deployment" not in found


@pytest.mark.parametrize(("most", "ignored"), [(2, None), (4, ["spec.replicas"])])
def test_replicas_are_the_initial_number_under_an_autoscaler(declared, most, ignored):
    found = declared(min_replicas=2, max_replicas=most)
    assert found.resources["kubernetes:apps/v1:Deployment"]["spec"]["replicas"] == 2
    assert found.ignored["Deployment"] == ignored


def test_what_cannot_be_fails_the_program_in_one_line(declared):
    with pytest.raises(pulumi.RunError, match="web service mnist: kubernetes: an ingress takes a host"):
        declared(expose="ingress")
