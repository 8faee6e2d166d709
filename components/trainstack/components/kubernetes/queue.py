"""Queue: quotas that the runs of a team wait in line for, on a cluster with Kueue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi

from trainstack.components.base import Component, program_errors
from trainstack.components.declaration import checked
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes import installed

if TYPE_CHECKING:
    from trainstack.targets.kubernetes.objects.queue_objects import QueueSpec


@checked
@dataclass(kw_only=True)
class QueueArgs:
    """Arguments of a queue; all are plain values.

    Attributes:
        quota: How much the runs of the namespace may hold at once, by resource as Kubernetes calls it:
            `{"cpu": 64, "memory": "256Gi", "nvidia.com/gpu": 8}`. CPUs and memory without an entry have no limit.
        context: Context of the kubeconfig; its current one when left out.
        namespace: The namespace of its runs; found, or created.
        create_namespace: Whether it is created where there is none.
        cohort: A name that queues have in common which lend each other what they do not use. They share their flavor,
            which is named after it and stays when they go.
        borrowing: How much more than the quota its runs may hold, by resource; all that is free when left out.
        lending: How much of the quota others may borrow, by resource; all of it when left out.
        preemption: Whether runs of a lower priority make room for a higher one, and whether what others have borrowed
            is taken back when it is needed. Runs that had to go resume from their checkpoints.
        fair_weight: The weight of its share of what the cohort lends, where Kueue shares fairly; 1 when left out.
        priorities: Value by name of the priorities that runs may have, `KubernetesArgs(priority_class=…)`.
        node_labels: Labels of the machines that the quota is of; any when left out.
        tolerations: Taints of these machines, as Kubernetes has them.
    """

    quota: Mapping[str, str | int]
    context: str | None = None
    namespace: str = "trainstack"
    create_namespace: bool = True
    cohort: str | None = None
    borrowing: Mapping[str, str | int] = field(default_factory=dict[str, "str | int"])
    lending: Mapping[str, str | int] = field(default_factory=dict[str, "str | int"])
    preemption: bool = True
    fair_weight: float | None = None
    priorities: Mapping[str, int] = field(default_factory=dict[str, int])
    node_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: Sequence[Mapping[str, str]] = ()


class Queue(Component):
    """A queue of Kueue with its quota: a ResourceFlavor, a ClusterQueue, a LocalQueue and its priorities.

    Attributes:
        name: What the objects are called; the name of the local queue.
        context: The cluster's context.
        namespace: The namespace of its runs.
        spec: What it is asked to be.
        objects: Its objects, as resources.

    Example:
        ```python
        queue = ts.Queue(
            "vision", ts.QueueArgs(quota={"nvidia.com/gpu": 8}, cohort="research", priorities={"urgent": 1000})
        )
        cluster = ts.Compute(
            "gpus",
            ts.ComputeArgs(
                workspace=workspace,
                target="kubernetes",
                node=ts.Node(cpus=8, memory_gib=32, gpus=1),
                max_nodes=8,
                kubernetes=ts.KubernetesArgs(queue=queue, priority_class="urgent"),
            ),
        )
        ```
    """

    kind = "Queue"

    def __init__(self, name: str, args: QueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # Programs without a queue wait for none of this.
        from trainstack.components.kubernetes import namespace, objects
        from trainstack.components.kubernetes.build_config import check_plain
        from trainstack.targets.kubernetes import labels
        from trainstack.targets.kubernetes.config import KubernetesConfig
        from trainstack.targets.kubernetes.objects import queue_objects

        super().__init__(name, opts)
        with program_errors(f"queue {name}"):
            check_plain(args, "queue")
            self.name = labels.declared("queue", name, pulumi.get_project(), pulumi.get_stack())
            self.context, self.namespace = args.context, args.namespace
            self.spec = _spec(args)
            config = KubernetesConfig(
                context=args.context, namespace=args.namespace, create_namespace=args.create_namespace
            )
            # A cohort's flavor may be there already, made for another of its queues.
            connection = objects.connection(name, args.context, self, adopts=args.cohort is not None)
            hold = namespace.declare(name, config, connection, self)
        self.objects: list[pulumi.Resource] = [hold] if hold is not None else []
        for manifest in queue_objects.objects(self.name, pulumi.get_stack(), self.spec):
            object_name = manifest["metadata"]["name"]
            suffix = object_name.removeprefix(self.name) if object_name.startswith(self.name) else ""
            shared = manifest["kind"] == "ResourceFlavor" and args.cohort is not None
            # A queue names its flavor, and goes before it.
            options = pulumi.ResourceOptions(parent=self, depends_on=list(self.objects), retain_on_delete=shared)
            resource = objects.declare(f"{name}{suffix}-{manifest['kind'].lower()}", manifest, connection, options)
            self.objects.append(resource)
        self.register_outputs({"name": self.name})

    def priority_class(self, priority: str) -> str:
        """What the cluster calls a priority of this queue.

        Raises:
            InvalidInputError: It has no such priority.
        """
        from trainstack.targets.kubernetes.objects import queue_objects

        if priority not in self.spec.priorities:
            known = ", ".join(self.spec.priorities) or "none"
            raise InvalidInputError(
                f"kubernetes: priority_class {priority!r} is none of queue {self.name}'s priorities ({known})",
                field="priority_class",
            )
        return queue_objects.priority_class(self.name, priority)


def _spec(args: QueueArgs) -> QueueSpec:
    from trainstack.targets.kubernetes.objects.queue_objects import QueueSpec

    amounts = {name: _texts(getattr(args, name), name) for name in ("quota", "borrowing", "lending")}
    for name in ("borrowing", "lending"):
        if amounts[name] and args.cohort is None:
            raise InvalidInputError(f"queue: {name} is between queues of a cohort: give it one", field=name)
        if unknown := sorted(amounts[name].keys() - amounts["quota"].keys()):
            raise InvalidInputError(f"queue: {name} of {unknown[0]}, of which it has no quota: give it one", field=name)
    return QueueSpec(
        namespace=args.namespace,
        **amounts,
        cohort=args.cohort,
        preemption=args.preemption,
        fair_weight=args.fair_weight,
        priorities=args.priorities,
        node_labels=args.node_labels,
        tolerations=args.tolerations,
    )


def _texts(amounts: Mapping[str, str | int], field: str) -> dict[str, str]:
    installed.require()
    from kubernetes import utils

    for resource, amount in amounts.items():
        try:
            utils.parse_quantity(amount)  # pyright: ignore[reportUnknownMemberType]
        except ValueError as exc:
            raise InvalidInputError(
                f"queue: {field}: {resource}: {amount!r} is no quantity: write 16 or 64Gi", field=field
            ) from exc
    return {resource: str(amount) for resource, amount in amounts.items()}
