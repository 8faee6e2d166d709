"""Compute: the nodes that runs get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pulumi

from trainstack.components.base import Component, LifecycleResource
from trainstack.components.workspace import Workspace
from trainstack.provider.handles import ComputeHandle


@dataclass(kw_only=True)
class KubernetesArgs:
    """A cluster and a place in it.

    Attributes:
        context: Context of the kubeconfig; its current one when left out.
        namespace: Namespace of all objects; found, or created.
        service_account: Whom pods run as; what may pull private images. Pods get none of its rights.
        engine: What makes the pods of Horovod's runs: an Indexed `job`, or an `mpijob` of Kubeflow's MPI operator,
            where the cluster serves it. All other runs are Indexed Jobs.
        queue: Local queue of Kueue that jobs go through, where the cluster has it.
        node_selector: Labels that nodes must have.
        tolerations: Taints that pods put up with: `key`, `operator`, `value`, `effect` as Kubernetes has them.
        pending_deadline: Seconds that pods may wait for a node and their image.
    """

    context: pulumi.Input[str] | None = None
    namespace: pulumi.Input[str] = "trainstack"
    service_account: pulumi.Input[str] = "default"
    engine: pulumi.Input[str] = "job"
    queue: pulumi.Input[str] | None = None
    node_selector: Mapping[str, pulumi.Input[str]] | None = None
    tolerations: Sequence[Mapping[str, pulumi.Input[str]]] = ()
    pending_deadline: pulumi.Input[float] = 1800

    def described(self) -> dict[str, Any]:
        """It as an input of the resource: what is left out is not there."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given["tolerations"] = [dict(each) for each in self.tolerations]
        return {name: value for name, value in given.items() if value is not None and value != []}


@dataclass(kw_only=True)
class ComputeArgs:
    """Arguments of a compute.

    Attributes:
        workspace: The workspace that it belongs to.
        target: Where its nodes are: `local`, this machine, `docker`, an engine with a container a node, or
            `kubernetes`, a cluster with a pod a node.
        docker_host: The engine's address (`unix:///…`, `tcp://…`, `ssh://USER@HOST`); when left out, the one that
            DOCKER_HOST or Docker's own context names where `pulumi up` runs. For `kubernetes` it makes the images.
        kubernetes: Which cluster and where in it, for `kubernetes`; the current context when left out.
        vm_size: A size that says what one node holds (`STANDARD_NC6`, …); none shares the machine evenly.
        min_nodes: Nodes that stay up when idle.
        max_nodes: Nodes that may be busy at once; runs wait in line for them.
        priority: `dedicated`, or `low` for nodes that may be taken away.
        idle_seconds_before_scaledown: Seconds until an idle node goes.
    """

    workspace: Workspace
    target: pulumi.Input[str] = "local"
    docker_host: pulumi.Input[str] | None = None
    kubernetes: KubernetesArgs | None = None
    vm_size: pulumi.Input[str] | None = None
    min_nodes: pulumi.Input[int] = 0
    max_nodes: pulumi.Input[int] = 1
    priority: pulumi.Input[str] = "dedicated"
    idle_seconds_before_scaledown: pulumi.Input[int] = 1800


class _Resource(LifecycleResource, module="trainstack", name="Compute"):
    outputs = ("node",)
    node: pulumi.Output[dict[str, Any]]


class Compute(Component):
    """Nodes to run on, found by name or created.

    Attributes:
        workspace: The workspace that it belongs to.
        name: Its name.
        spec: What it is asked to be.
        node: What one node holds: `cpus`, `memory_gib`, `gpus`.

    Example:
        ```python
        cluster = ts.Compute("cpu-cluster", ts.ComputeArgs(workspace=workspace, max_nodes=2))
        ```
    """

    kind = "Compute"

    def __init__(self, name: str, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.workspace = args.workspace
        self.name = name
        self.spec: dict[str, pulumi.Input[Any]] = {
            "name": name,
            "target": args.target,
            "docker_host": args.docker_host,
            "kubernetes": args.kubernetes and args.kubernetes.described(),
            "object_store": args.workspace.object_store,
            "vm_size": args.vm_size,
            "min_nodes": args.min_nodes,
            "max_nodes": args.max_nodes,
            "priority": args.priority,
            "idle_seconds_before_scaledown": args.idle_seconds_before_scaledown,
        }
        self._resource = _Resource(
            ComputeHandle(), name, {**self.spec, "workspace": args.workspace.root}, self._child_options()
        )
        self.node = self._resource.node
        self.register_outputs({"name": name, "node": self.node})
