"""What a cluster must serve, and have free, for a web service to be declared on it: asked in preview."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.api.client import FORBIDDEN, NOT_FOUND, KubernetesApi
from trainstack.targets.kubernetes.manifest import Manifest, part, parts
from trainstack.targets.kubernetes.objects.service_objects import SERVICE
from trainstack.targets.kubernetes.objects.serving_spec import ServingSpec

KSERVE = ("serving.kserve.io", "v1beta1", "inferenceservices")
"""Group, version and plural of InferenceService."""
CUSTOM_METRICS = "custom.metrics.k8s.io"
"""The API that an autoscaler asks for metrics of pods, served by whoever collects them."""
_INVALID = 422


def check(api: KubernetesApi, service: str, name: str, spec: ServingSpec, seconds: float) -> None:
    """Make sure that a service can be declared.

    Args:
        api: The cluster.
        service: The service's name in its program.
        name: What its objects are to be called: that name, the project's and the stack's.
        spec: How it is to run.
        seconds: How long to wait for each answer.

    Raises:
        InvalidInputError: The cluster does not serve what it needs, or somebody has its port or host.
        TrainstackError: The cluster does not answer.
    """
    if spec.engine == "kserve":
        check_inference_service(api, seconds)
    elif spec.target_concurrency is not None:
        check_custom_metrics(api, seconds)
    if spec.node_port is not None:
        check_node_port(api, name, spec.node_port, seconds)
    if spec.host is not None:
        check_host(api, service, name, spec, seconds)


def check_inference_service(api: KubernetesApi, seconds: float) -> None:
    """Make sure that the cluster serves InferenceServices.

    Args:
        api: The cluster.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: It does not.
        TrainstackError: It does not answer.
    """
    group, version, plural = KSERVE
    resources = api.resources_of("asking for InferenceServices", group, version, seconds)
    if not any(resource["name"] == plural for resource in parts(resources, "resources")):
        raise InvalidInputError(
            f"kubernetes: {api.client_configuration.host} serves no InferenceService ({group}/{version}): install "
            "KServe there, or take engine='deployment'",
            field="engine",
        )


def check_custom_metrics(api: KubernetesApi, seconds: float) -> None:
    """Make sure that an autoscaler gets metrics of pods. Which ones is not asked: there are none before the first pod.

    Args:
        api: The cluster.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: The cluster serves none.
        TrainstackError: It does not answer.
    """
    from kubernetes import client

    apis: Any = client.ApisApi(api.client())
    groups = api.request("asking for custom metrics", partial(apis.get_api_versions, **_plain(seconds)))
    if not any(group["name"] == CUSTOM_METRICS for group in parts(groups, "groups")):
        raise InvalidInputError(
            f"kubernetes: {api.client_configuration.host} serves no {CUSTOM_METRICS}, which target_concurrency needs: "
            "install an adapter there (prometheus-adapter, say), or take target_cpu",
            field="target_concurrency",
        )


def check_node_port(api: KubernetesApi, name: str, port: int, seconds: float) -> None:
    """Make sure that a port of the nodes is free, or the service's own: the API server tries it and keeps nothing.

    Args:
        api: The cluster.
        name: What the service's objects are called.
        port: The port.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: Another service has it, or the cluster gives out others.
        TrainstackError: The cluster does not answer.
    """
    from kubernetes.client.exceptions import ApiException

    doing = "asking for a node port"
    ask = partial(api.core.read_namespaced_service, name, api.namespace, **_plain(seconds))
    own = api.request(doing, ask, (FORBIDDEN, NOT_FOUND))
    if any(port_spec.get("nodePort") == port for port_spec in parts(own, "spec", "ports")):
        return
    spec = {"type": "NodePort", "ports": [{"port": port, "nodePort": port}]}
    # One that is there already is not made again under its name; a namespace that is not there cannot be tried in.
    body = {"metadata": {"generateName": "trainstack-tried-"}, "spec": spec}
    for namespace in (api.namespace, "default"):
        with api.errors(doing):
            try:
                api.core.create_namespaced_service(namespace, body, dry_run="All", _request_timeout=seconds)
            except ApiException as exc:
                refused: Any = exc
                if refused.status == _INVALID:
                    raise InvalidInputError(f"kubernetes: {_cause(refused)}", field="node_port") from exc
                if refused.status not in (FORBIDDEN, NOT_FOUND):
                    raise
            else:
                return


def check_host(api: KubernetesApi, service: str, name: str, spec: ServingSpec, seconds: float) -> None:
    """Make sure that no Ingress of others answers to a host: which of two would is the controller's whim.

    Args:
        api: The cluster.
        service: The service's name in its program.
        name: What its objects are called. What else its stack has declared is the stack's own to change.
        spec: Which host, and which class of Ingress.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: One does.
        TrainstackError: The cluster does not answer.
    """
    from kubernetes import client

    networking: Any = client.NetworkingV1Api(api.client())
    everywhere = partial(networking.list_ingress_for_all_namespaces, **_plain(seconds))
    here = partial(networking.list_namespaced_ingress, api.namespace, **_plain(seconds))
    ingresses = None
    # Who may not look everywhere looks where he is.
    for ask in (everywhere, here):
        ingresses = ingresses or api.request("looking for Ingresses", ask, (FORBIDDEN, NOT_FOUND))
    stack = name[len(service) :]
    for ingress in parts(ingresses, "items"):
        metadata = part(ingress, "metadata")
        at = metadata["namespace"], metadata["name"]
        ours = at[0] == api.namespace and SERVICE in part(metadata, "labels") and at[1].endswith(stack)
        if not ours and _answers(ingress, spec):
            raise InvalidInputError(
                f"kubernetes: Ingress {at[1]} in namespace {at[0]} answers to {spec.host} already: take another host",
                field="host",
            )


def _answers(ingress: Mapping[str, Any], spec: ServingSpec) -> bool:
    ingress_class, spec_class = part(ingress, "spec").get("ingressClassName"), spec.ingress_class
    # Controllers of two classes do not meet.
    return (not ingress_class or not spec_class or ingress_class == spec_class) and any(
        rule.get("host") == spec.host and any(path.get("path", "/") == "/" for path in parts(rule, "http", "paths"))
        for rule in parts(ingress, "spec", "rules")
    )


def _plain(seconds: float) -> Manifest:
    return {"_preload_content": False, "_request_timeout": seconds}


def _cause(refused: Any) -> str:
    """What the API server found wrong with a field, without the name of the object that it was tried with."""
    try:
        [cause, *_] = json.loads(refused.body)["details"]["causes"]
        return f"node_port: {cause['message']}"
    except (TypeError, ValueError, KeyError):
        return f"node_port: {refused.reason}"
