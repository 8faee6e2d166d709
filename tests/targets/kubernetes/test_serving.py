"""The objects of a web service: what a cluster is asked for."""

import pytest
from tests.core.kubernetes_runs import needs_cluster, taken

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.objects.service_objects import IN_FLIGHT, METRICS_PORT, MODEL, objects
from trainstack.targets.kubernetes.objects.serving_spec import ServingSpec, checked

CONTAINER = {
    "image": "registry.example.com/team/trainstack-environment@sha256:" + "0" * 64,
    "command": ["python", "/service/serving"],
    "health": ["python", "-c", "pass"],
    "digest": "d" * 64,
    "cpu": "1000m",
    "memory": "2048Mi",
}
CLUSTER = KubernetesConfig(namespace="trainstack-tests")


def rendered(**asked):
    return objects("mnist-shop-prod", "mnist", "prod", CLUSTER, ServingSpec(**asked), CONTAINER)


def pod(found):
    return found["Deployment"]["spec"]["template"]


def test_a_pod_is_ready_only_when_it_serves_the_very_model():
    template = pod(rendered())
    [server] = template["spec"]["containers"]
    assert server["readinessProbe"]["exec"]["command"] == CONTAINER["health"]
    assert template["metadata"]["annotations"][MODEL] == "d" * 64


def test_a_pod_ends_once_another_answers_and_lingers():
    found = rendered()
    assert found["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    spec = pod(found)["spec"]
    assert spec["containers"][0]["args"][:2] == ["--linger", "5"]
    assert spec["terminationGracePeriodSeconds"] > 20 + 5


def test_metrics_have_a_port_that_is_not_the_service_s():
    found = rendered()
    marks = pod(found)["metadata"]["annotations"]
    assert (marks["prometheus.io/scrape"], marks["prometheus.io/path"]) == ("true", "/metrics")
    assert marks["prometheus.io/port"] == pod(found)["spec"]["containers"][0]["args"][3] == str(METRICS_PORT)
    assert [it["port"] for it in found["Service"]["spec"]["ports"]] != [METRICS_PORT]
    scraping = found["NetworkPolicy"]["spec"]["ingress"][1]
    assert (scraping["ports"][0]["port"], scraping["from"]) == (METRICS_PORT, [{"namespaceSelector": {}}])


def test_a_pod_is_not_root_and_has_no_rights():
    spec = pod(rendered())["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    rights = spec["containers"][0]["securityContext"]
    assert rights["readOnlyRootFilesystem"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["allowPrivilegeEscalation"] is False


def test_every_selector_means_the_pods_of_this_service_alone():
    found = rendered(expose="node-port", node_port=30080)
    assert pod(found)["metadata"]["labels"][INSTANCE] == "mnist-shop-prod"
    mine = {INSTANCE: "mnist-shop-prod"}
    assert found["Service"]["spec"]["selector"] == mine
    for kind, field in (
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("Deployment", "selector"),
    ):
        assert found[kind]["spec"][field] == {"matchLabels": mine}


def test_more_pods_at_most_than_at_least_make_an_autoscaler():
    assert "HorizontalPodAutoscaler" not in rendered(min_replicas=2, max_replicas=2)
    assert rendered(min_replicas=2, max_replicas=2)["Deployment"]["spec"]["replicas"] == 2
    found = rendered(min_replicas=2, max_replicas=5, target_cpu=60)
    assert found["Deployment"]["spec"]["replicas"] == 2
    scaler = found["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 5)
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
    [plain] = rendered(max_replicas=2)["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert plain["resource"]["target"]["averageUtilization"] == 70


def test_an_autoscaler_goes_by_requests_in_flight_per_pod():
    [metric] = rendered(max_replicas=3, target_concurrency=8)["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["type"] == "Pods"
    assert metric["pods"] == {"metric": {"name": IN_FLIGHT}, "target": {"type": "AverageValue", "averageValue": "8"}}
    [kserve] = rendered(engine="kserve", max_replicas=3, target_concurrency=8).values()
    predictor = kserve["spec"]["predictor"]
    assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("concurrency", 8)


def test_only_what_is_exposed_is_reached_from_elsewhere():
    assert rendered()["NetworkPolicy"]["spec"]["ingress"][0]["from"] == [{"podSelector": {}}]
    assert rendered()["NetworkPolicy"]["spec"]["egress"] == []
    assert "from" not in rendered(expose="node-port")["NetworkPolicy"]["spec"]["ingress"][0]
    ingress = rendered(expose="ingress", host="mnist.example.com", tls_secret="cert")["Ingress"]["spec"]
    assert ingress["tls"] == [{"hosts": ["mnist.example.com"], "secretName": "cert"}]
    assert ingress["rules"][0]["host"] == "mnist.example.com"


def test_kserve_gets_one_service_with_the_same_container():
    [(kind, found)] = rendered(engine="kserve", max_replicas=3).items()
    assert (kind, found["apiVersion"]) == ("InferenceService", "serving.kserve.io/v1beta1")
    predictor = found["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 3)
    assert predictor["containers"][0]["image"] == CONTAINER["image"]
    assert predictor["containers"][0]["name"] == "kserve-container"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas 2 is under min_replicas 3"),
        ({"expose": "ingress"}, "an ingress takes a host"),
        ({"host": "a.example.com"}, "a host an ingress"),
        ({"node_port": 30001}, "node_port is for expose='node-port'"),
        ({"node_port": 80, "expose": "node-port"}, "node_port: .*30000"),
        ({"expose": "ingress", "host": "not a host"}, "is no name of a host"),
        ({"replicas": 1}, "replicas: "),
        ({"target_cpu": 50, "target_concurrency": 4, "max_replicas": 2}, "leave one out"),
        ({"target_concurrency": 4}, "let max_replicas be more than min_replicas"),
        ({"target_concurrency": 0, "max_replicas": 2}, "target_concurrency: .*greater than or equal to 1"),
        ({"tls_secret": "cert"}, "ingress_class and tls_secret are for expose='ingress'"),
        ({"engine": "kserve", "expose": "node-port"}, "KServe gives an address of its own"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        checked(asked)
    assert "\n" not in str(caught.value)


@needs_cluster
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"min_replicas": 2, "max_replicas": 5, "expose": "node-port"},
        {"max_replicas": 5, "target_concurrency": 8},
        {"expose": "ingress", "host": "mnist.example.com", "ingress_class": "nginx", "tls_secret": "cert"},
    ],
)
def test_a_real_api_server_takes_every_object_as_it_stands(asked):
    for thing in rendered(**asked).values():
        taken(thing)
