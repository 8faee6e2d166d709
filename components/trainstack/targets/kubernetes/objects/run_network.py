"""The rule that nobody but the nodes of a run reach each other: their servers take orders from whoever does."""

from __future__ import annotations

from trainstack.targets.base import NodeGroupSpec, RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects import run_objects


def network_policy(ref: RunRef, group: NodeGroupSpec, owner: Manifest) -> Manifest:
    """The NetworkPolicy of a run's pods, which ends with what owns it.

    Args:
        ref: The run.
        group: Its nodes.
        owner: The Job or MPIJob, as an owner reference.
    """
    nodes = {"podSelector": {"matchLabels": {labels.WORKSPACE: ref.workspace, labels.RUN: ref.id}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            # The cluster removes that of the attempt before in its own time.
            "generateName": f"{labels.name(ref)}-",
            "labels": run_objects.attempt_labels(ref, group),
            "ownerReferences": [owner],
        },
        "spec": {**nodes, "policyTypes": ["Ingress"], "ingress": [{"from": [nodes]}]},
    }


def isolate(api: KubernetesApi, ref: RunRef, group: NodeGroupSpec, owner: Manifest) -> None:
    """Declare that rule, where a run has several nodes: one alone listens to nobody.

    Args:
        api: The cluster.
        ref: The run.
        group: Its nodes.
        owner: The Job or MPIJob, as an owner reference.
    """
    if group.node_count > 1:
        api.networking.create_namespaced_network_policy(
            api.namespace, network_policy(ref, group, owner), _request_timeout=ANSWER_SECONDS
        )
