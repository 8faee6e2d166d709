"""Compute: the nodes that runs get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pulumi

from trainstack.components.base import BaseResource, Component
from trainstack.components.declaration import checked
from trainstack.components.kubernetes.args import KubernetesArgs
from trainstack.components.node import Node, node_inputs, own_prices
from trainstack.components.workspace import Workspace
from trainstack.provider.lazy_providers import LazyComputeProvider
from trainstack.targets import registry

if TYPE_CHECKING:
    from trainstack.components.kubernetes.compute import ClusterCompute


@checked
@dataclass(kw_only=True)
class ComputeArgs:
    """Arguments of a compute.

    Attributes:
        workspace: The workspace that it belongs to.
        target: Where its nodes are: `local`, this machine, `docker`, an engine with one container per node, or
            `kubernetes`, a cluster with one pod per node.
        docker_host: The engine's address (`unix:///…`, `tcp://…`, `ssh://USER@HOST`); when left out, the one that
            DOCKER_HOST or Docker's own context names where `pulumi up` runs. For `kubernetes` it makes the images.
        kubernetes: Which cluster and where in it, for `kubernetes`; the current context when left out.
        node: What one node holds: `ts.Node(cpus=8, memory_gib=32, gpus=1, gpu="nvidia-l4")`. Neither this nor
            `vm_size` shares the machine evenly.
        vm_size: Instead of `node`, a machine's name at Azure, AWS or Google Cloud (`Standard_NC4as_T4_v3`, `g6.xlarge`,
            `g2-standard-8`), or one that the workspace (`sizes`) or the stack (`trainstack:sizes`) gives to a node.
        min_nodes: Nodes that stay up when idle.
        max_nodes: Nodes that may be busy at once; runs wait in line for them.
        priority: `dedicated`, or `low` for nodes that may be taken away.
        idle_seconds_before_scaledown: Seconds until an idle node goes.
        cache_gib: GiB of mounted objects that the machine keeps for its runs together.
    """

    workspace: Workspace
    target: pulumi.Input[str] = "local"
    docker_host: pulumi.Input[str] | None = None
    kubernetes: KubernetesArgs | None = None
    node: Node | None = None
    vm_size: pulumi.Input[str] | None = None
    min_nodes: pulumi.Input[int] = 0
    max_nodes: pulumi.Input[int] = 1
    priority: pulumi.Input[str] = "dedicated"
    idle_seconds_before_scaledown: pulumi.Input[int] = 1800
    cache_gib: pulumi.Input[float] = 100.0


class _Resource(BaseResource, module="trainstack", name="Compute"):
    node: pulumi.Output[dict[str, Any]]


class Compute(Component):
    """Nodes to run on, found by name or created.

    Attributes:
        workspace: The workspace that it belongs to.
        name: Its name.
        spec: What it is asked to be.
        node: What one node may use: `cpus`, `memory_gib`, `gpus`.
        cluster: What it has declared on its cluster; none for other targets.

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
            "object_store": args.workspace.store,
            "vm_size": args.vm_size,
            "node_size": node_inputs(args.node, args.vm_size, args.workspace.sizes),
            "prices": own_prices(args.vm_size or args.target) or None,
            "currency": pulumi.Config("trainstack").get("currency"),
            "min_nodes": args.min_nodes,
            "max_nodes": args.max_nodes,
            "priority": args.priority,
            "idle_seconds_before_scaledown": args.idle_seconds_before_scaledown,
            "cache_gib": args.cache_gib,
        }
        self.cluster: ClusterCompute | None = None
        chosen = args.target if isinstance(args.target, str) else None
        # Options of another target are inputs too, and refused with its name.
        with_options = [target for target in registry.names() if getattr(args, target, None) is not None]
        for target in dict.fromkeys([*filter(None, [chosen]), *with_options]):
            plugin = registry.find_plugin(target)
            if plugin is not None and plugin.compute_component:
                component = registry.load(plugin.compute_component)
                self.cluster = cast("ClusterCompute", component(name, args, self, chosen=target == chosen))
                self.spec[target] = self.cluster.config_inputs
        declared = self.cluster.objects if self.cluster else []
        inputs = {**self.spec, "workspace": args.workspace.root}
        self._resource = _Resource(LazyComputeProvider(), name, inputs, self._child_options(declared))
        self.node = self._resource.node
        self.register_outputs({"name": name, "node": self.node})
