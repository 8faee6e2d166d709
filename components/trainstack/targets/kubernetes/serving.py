"""The objects of a web service on a cluster, as the API server gets them. Pure functions.

A Deployment whose pods are ready only when they serve the very model that is asked for, a Service before them, and
what keeps them up, few and closed: autoscaler, disruption budget, network policy, one Ingress where it is to be reached
from outside by name. Values that a program knows only later (the image, the digest) may be of any type that the reader
of the objects resolves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.cluster import Cluster
from trainstack.targets.kubernetes.manifests import CONTAINER_RIGHTS, POD_RIGHTS, account

SERVICE = "trainstack.service"
"""Label with a service's name."""
INSTANCE = "app.kubernetes.io/instance"
"""Label that the pods of one service have in common, and no others in their namespace."""
MODEL = "trainstack.service.model"
"""Annotation of pods: the digest of the model that they serve."""
PORT = 8501
_HTTP = "http"
# Endpoints and proxies forget a pod a moment after it was told to end: until then it goes on answering.
_LINGER_SECONDS = 5
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

Exposed = Literal["port-forward", "node-port", "ingress"]


class ServingSpec(BaseModel):
    """How a service runs on a cluster.

    Attributes:
        engine: `deployment`, or `kserve` for an InferenceService, which scales and routes by itself.
        min_replicas: Pods at least.
        max_replicas: Pods at most; more than `min_replicas` makes an autoscaler.
        target_cpu: Percent of the requested CPU at which the autoscaler adds pods.
        expose: How it is reached from outside: `port-forward` (not at all but through the API server), `node-port`,
            or `ingress`.
        node_port: The port of every node, 30000 to 32767; the cluster chooses when left out.
        host: The name that an Ingress answers to.
        ingress_class: The class of the Ingress; the cluster's default when left out.
        tls_secret: The Secret with the Ingress's certificate; plain HTTP when left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    engine: Literal["deployment", "kserve"] = "deployment"
    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=1, ge=1)
    target_cpu: int = Field(default=70, ge=1, le=1000)
    expose: Exposed = "port-forward"
    node_port: int | None = Field(default=None, ge=30000, le=32767)
    host: str | None = None
    ingress_class: str | None = None
    tls_secret: str | None = None

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str | None) -> str | None:
        if host is not None and not _HOST.fullmatch(host):
            raise InvalidInputError(
                f"host {host!r} is no name of a host: write one like mnist.example.com", field="host"
            )
        return host

    @model_validator(mode="after")
    def _check(self) -> ServingSpec:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas {self.max_replicas} is under min_replicas {self.min_replicas}")
        if (self.expose == "ingress") != (self.host is not None):
            raise ValueError("an ingress takes a host, and a host an ingress")
        if self.node_port is not None and self.expose != "node-port":
            raise ValueError("node_port is for expose='node-port'")
        return self


def checked(asked: Mapping[str, Any]) -> ServingSpec:
    """How a service is to run, from a program's values.

    Raises:
        InvalidInputError: A value is of a wrong kind or out of range; names the first.
    """
    try:
        return ServingSpec.model_validate(asked)
    except ValidationError as exc:
        problem = exc.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        reason = problem["msg"].removeprefix("Value error, ")
        raise InvalidInputError(f"kubernetes: {f'{field}: ' if field else ''}{reason}", field=field) from exc


def objects(
    name: str, service: str, stack: str, cluster: Cluster, spec: ServingSpec, container: Any, *, drain: int = 20
) -> dict[str, dict[str, Any]]:
    """All objects of a service.

    Args:
        name: What they are called.
        service: The service's name in its program.
        stack: The Pulumi stack that declares it.
        cluster: Where they are.
        spec: How it runs.
        container: What `trainstack.lifecycle.services.serving_image` made: `image`, `command`, `health`, `digest`,
            `cpu`, `memory`.
        drain: Seconds that requests in flight have when a pod is to end.

    Returns:
        Them, by kind, in the order in which they are to be made.
    """
    marks = {
        labels.MANAGED: "trainstack",
        INSTANCE: name,
        SERVICE: labels.value(service),
        labels.STACK: labels.value(stack),
    }
    metadata = {"name": name, "namespace": cluster.namespace, "labels": marks}
    if spec.engine == "kserve":
        return {"InferenceService": _inference_service(metadata, cluster, spec, container, drain)}
    selector = {"matchLabels": {INSTANCE: name}}
    found: dict[str, dict[str, Any]] = {
        "NetworkPolicy": _network_policy(metadata, selector, spec),
        "PodDisruptionBudget": {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            # Of a single pod the budget allows its loss: without, no node could ever be drained.
            "spec": {"maxUnavailable": 1, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
        },
        "Service": _service(metadata, spec),
        "Deployment": _deployment(metadata, selector, cluster, spec, container, drain),
    }
    if spec.max_replicas > spec.min_replicas:
        found["HorizontalPodAutoscaler"] = _autoscaler(metadata, spec)
    if spec.expose == "ingress":
        found["Ingress"] = _ingress(metadata, spec)
    return found


def _deployment(
    metadata: dict[str, Any], selector: dict[str, Any], cluster: Cluster, spec: ServingSpec, container: Any, drain: int
) -> dict[str, Any]:
    # Where there is an autoscaler the number is its own.
    replicas = {} if spec.max_replicas > spec.min_replicas else {"replicas": spec.min_replicas}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            **replicas,
            "selector": selector,
            "revisionHistoryLimit": 3,
            # A pod goes only when another answers in its place.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "progressDeadlineSeconds": int(cluster.pending_deadline),
            "template": {
                "metadata": {"labels": metadata["labels"], "annotations": {MODEL: container["digest"]}},
                "spec": {**_pod(cluster, container, "server", drain), "topologySpreadConstraints": [spread]},
            },
        },
    }


def _pod(cluster: Cluster, container: Any, name: str, drain: int) -> dict[str, Any]:
    health = {"exec": {"command": container["health"]}, "timeoutSeconds": 10}
    spec: dict[str, Any] = {
        **account(cluster),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": drain + _LINGER_SECONDS + 5,
        "securityContext": POD_RIGHTS,
        "containers": [
            {
                "name": name,
                "image": container["image"],
                "command": container["command"],
                "env": [
                    {"name": "HOME", "value": "/tmp"},  # noqa: S108
                    {"name": "PYTHONUNBUFFERED", "value": "1"},
                    {"name": "TF_CPP_MIN_LOG_LEVEL", "value": "2"},
                ],
                "ports": [{"name": _HTTP, "containerPort": PORT, "protocol": "TCP"}],
                # TensorFlow takes its time: only from then on do the others count.
                "startupProbe": {**health, "periodSeconds": 2, "failureThreshold": 150},
                "readinessProbe": {**health, "periodSeconds": 10, "failureThreshold": 2},
                "livenessProbe": {
                    "httpGet": {"path": "/v2/health/live", "port": _HTTP},
                    "periodSeconds": 20,
                    "timeoutSeconds": 10,
                    "failureThreshold": 3,
                },
                "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LINGER_SECONDS)]}}},
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
    if cluster.node_selector:
        spec["nodeSelector"] = dict(cluster.node_selector)
    if cluster.tolerations:
        spec["tolerations"] = [each.model_dump(exclude_none=True) for each in cluster.tolerations]
    return spec


def _service(metadata: dict[str, Any], spec: ServingSpec) -> dict[str, Any]:
    port: dict[str, Any] = {"name": _HTTP, "port": PORT, "targetPort": _HTTP, "protocol": "TCP"}
    if spec.node_port is not None:
        port["nodePort"] = spec.node_port
    kind = "NodePort" if spec.expose == "node-port" else "ClusterIP"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": kind, "selector": {INSTANCE: metadata["name"]}, "ports": [port]},
    }


def _network_policy(metadata: dict[str, Any], selector: dict[str, Any], spec: ServingSpec) -> dict[str, Any]:
    ingress: dict[str, Any] = {"ports": [{"port": PORT, "protocol": "TCP"}]}
    if spec.expose == "port-forward":
        ingress["from"] = [{"podSelector": {}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        # It asks nobody anything: no way out.
        "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], "ingress": [ingress], "egress": []},
    }


def _autoscaler(metadata: dict[str, Any], spec: ServingSpec) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": spec.target_cpu}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]},
            "minReplicas": spec.min_replicas,
            "maxReplicas": spec.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _ingress(metadata: dict[str, Any], spec: ServingSpec) -> dict[str, Any]:
    backend = {"service": {"name": metadata["name"], "port": {"name": _HTTP}}}
    rule = {"host": spec.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    found: dict[str, Any] = {"rules": [rule]}
    if spec.ingress_class:
        found["ingressClassName"] = spec.ingress_class
    if spec.tls_secret:
        found["tls"] = [{"hosts": [spec.host], "secretName": spec.tls_secret}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": found}


def _inference_service(
    metadata: dict[str, Any], cluster: Cluster, spec: ServingSpec, container: Any, drain: int
) -> dict[str, Any]:
    predictor = {
        **_pod(cluster, container, "kserve-container", drain),
        "minReplicas": spec.min_replicas,
        "maxReplicas": spec.max_replicas,
        "scaleMetric": "cpu",
        "scaleTarget": spec.target_cpu,
        "annotations": {MODEL: container["digest"]},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }
