"""The objects of a web service on a cluster, as the API server gets them. Pure functions.

A Deployment whose pods are ready only when they serve the very model that is asked for, a Service before them, and
what keeps them up, few and closed: autoscaler, disruption budget, network policy, one Ingress where it is to be reached
from outside by name. Values that a program knows only later (the image, the digest) may be of any type that the reader
of the objects resolves.
"""

from __future__ import annotations

from typing import Any

from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects import exposure
from trainstack.targets.kubernetes.objects.exposure import HTTP
from trainstack.targets.kubernetes.objects.run_objects import CONTAINER_RIGHTS, POD_RIGHTS, account, scheduling
from trainstack.targets.kubernetes.objects.serving_spec import ServingSpec

SERVICE = "trainstack.service"
"""Label with a service's name."""
MODEL = "trainstack.service.model"
"""Annotation of pods: the digest of the model that they serve."""
PORT = 8501
METRICS_PORT = 8502
"""Port of a pod, not of the service, at which its metrics are read without a key."""
IN_FLIGHT = "trainstack_requests_in_flight"
"""The metric of a pod that an autoscaler on concurrency goes by."""
REPLICAS = "spec.replicas"
"""The field of a Deployment that its autoscaler, where it has one, has for its own once it is made."""
# Endpoints and proxies forget a pod a moment after it was told to end: until then the server goes on answering, and
# tells those who have a connection to it to make another.
_LINGER_SECONDS = 5


def objects(
    name: str, service: str, stack: str, config: KubernetesConfig, spec: ServingSpec, container: Any, *, drain: int = 20
) -> dict[str, Manifest]:
    """All objects of a service.

    Args:
        name: What they are called.
        service: The service's name in its program.
        stack: The Pulumi stack that declares it.
        config: Where they are.
        spec: How it runs.
        container: What `trainstack.core.services.serving_image` made: `image`, `command`, `health`, `digest`,
            `cpu`, `memory`.
        drain: Seconds that requests in flight have when a pod is to end.

    Returns:
        Them, by kind, in the order in which they are to be made.
    """
    service_labels = {
        labels.MANAGED: "trainstack",
        INSTANCE: name,
        SERVICE: labels.value(service),
        labels.STACK: labels.value(stack),
    }
    metadata = {"name": name, "namespace": config.namespace, "labels": service_labels}
    if spec.engine == "kserve":
        return {"InferenceService": _inference_service(metadata, config, spec, container, drain)}
    selector = {"matchLabels": {INSTANCE: name}}
    manifests: dict[str, Manifest] = {
        "NetworkPolicy": _network_policy(metadata, selector, spec),
        "PodDisruptionBudget": {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            # Of a single pod the budget allows its loss: without, no node could ever be drained.
            "spec": {"maxUnavailable": 1, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
        },
        "Service": exposure.service(
            metadata, PORT, kind="NodePort" if spec.expose == "node-port" else "ClusterIP", node_port=spec.node_port
        ),
        "Deployment": _deployment(metadata, selector, config, spec, container, drain),
    }
    if spec.autoscaled:
        manifests["HorizontalPodAutoscaler"] = _autoscaler(metadata, spec)
    if spec.expose == "ingress":
        manifests["Ingress"] = exposure.ingress(
            metadata, spec.host, ingress_class=spec.ingress_class, tls_secret=spec.tls_secret
        )
    return manifests


def _deployment(
    metadata: Manifest,
    selector: Manifest,
    config: KubernetesConfig,
    spec: ServingSpec,
    container: Any,
    drain: int,
) -> Manifest:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        # Whoever scaled it meanwhile has the field `replicas`: what is declared now holds.
        "metadata": {**metadata, "annotations": {"pulumi.com/patchForce": "true"}},
        "spec": {
            "replicas": spec.min_replicas,
            "selector": selector,
            "revisionHistoryLimit": 3,
            # A pod goes only when another answers in its place.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "progressDeadlineSeconds": int(config.pending_deadline),
            "template": {
                "metadata": {"labels": metadata["labels"], "annotations": _annotations(container)},
                "spec": {**_pod(config, container, "server", drain), "topologySpreadConstraints": [spread]},
            },
        },
    }


def _annotations(container: Any) -> Manifest:
    return {
        MODEL: container["digest"],
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(METRICS_PORT),
        "prometheus.io/path": "/metrics",
    }


def _pod(config: KubernetesConfig, container: Any, name: str, drain: int) -> Manifest:
    health = {"exec": {"command": container["health"]}, "timeoutSeconds": 10}
    return {
        **account(config),
        **scheduling(config),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": drain + _LINGER_SECONDS + 5,
        "securityContext": POD_RIGHTS,
        "containers": [
            {
                "name": name,
                "image": container["image"],
                "command": container["command"],
                "args": ["--linger", str(_LINGER_SECONDS), "--metrics-port", str(METRICS_PORT)],
                "env": [
                    {"name": "HOME", "value": "/tmp"},  # noqa: S108
                    {"name": "PYTHONUNBUFFERED", "value": "1"},
                    {"name": "TF_CPP_MIN_LOG_LEVEL", "value": "2"},
                ],
                "ports": [{"name": HTTP, "containerPort": PORT, "protocol": "TCP"}],
                # TensorFlow takes its time: only from then on do the others count.
                "startupProbe": {**health, "periodSeconds": 2, "failureThreshold": 150},
                "readinessProbe": {**health, "periodSeconds": 10, "failureThreshold": 2},
                "livenessProbe": {
                    "httpGet": {"path": "/v2/health/live", "port": HTTP},
                    "periodSeconds": 20,
                    "timeoutSeconds": 10,
                    "failureThreshold": 3,
                },
                "resources": {
                    "requests": {"cpu": container["cpu"], "memory": container["memory"]},
                    # CPU without a limit: what is idle on the node may be used.
                    "limits": {"memory": container["memory"]},
                },
                "securityContext": CONTAINER_RIGHTS,
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _network_policy(metadata: Manifest, selector: Manifest, spec: ServingSpec) -> Manifest:
    ingress: Manifest = {"ports": [{"port": PORT, "protocol": "TCP"}]}
    if spec.expose == "port-forward":
        ingress["from"] = [{"podSelector": {}}]
    # Whoever collects metrics has pods in a namespace of its own.
    scraping: Manifest = {
        "ports": [{"port": METRICS_PORT, "protocol": "TCP"}],
        "from": [{"namespaceSelector": {}}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        # It asks nobody anything: no way out.
        "spec": {
            "podSelector": selector,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [ingress, scraping],
            "egress": [],
        },
    }


def _autoscaler(metadata: Manifest, spec: ServingSpec) -> Manifest:
    if spec.target_concurrency is None:
        target = {"type": "Utilization", "averageUtilization": spec.cpu_percent}
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    else:
        target = {"type": "AverageValue", "averageValue": str(spec.target_concurrency)}
        metric = {"type": "Pods", "pods": {"metric": {"name": IN_FLIGHT}, "target": target}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]},
            "minReplicas": spec.min_replicas,
            "maxReplicas": spec.max_replicas,
            "metrics": [metric],
        },
    }


def _inference_service(
    metadata: Manifest, config: KubernetesConfig, spec: ServingSpec, container: Any, drain: int
) -> Manifest:
    predictor = {
        **_pod(config, container, "kserve-container", drain),
        "minReplicas": spec.min_replicas,
        "maxReplicas": spec.max_replicas,
        "scaleMetric": "cpu" if spec.target_concurrency is None else "concurrency",
        "scaleTarget": spec.target_concurrency or spec.cpu_percent,
        "annotations": _annotations(container),
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }
