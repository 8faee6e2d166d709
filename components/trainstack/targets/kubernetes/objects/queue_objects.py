"""What a queue is on a cluster with Kueue: a flavor of machines, quotas of it, a queue in a namespace, priorities.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainstack.storage.digest import of_json
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.kueue import GROUP, VERSION
from trainstack.targets.kubernetes.manifest import Manifest

# Kueue admits nothing that asks for a resource which a queue does not name, and every pod asks for these.
_UNLIMITED = {"cpu": "1M", "memory": "1Pi"}


@dataclass(frozen=True, kw_only=True)
class QueueSpec:
    """A queue to be declared.

    Attributes:
        namespace: Whose jobs go through it.
        quota: How much of each resource they may hold at once; CPUs and memory without an entry have no limit.
        borrowing: How much more they may hold of what its cohort does not use; all of it where a resource is left out.
        lending: How much of the quota others of the cohort may borrow; all of it where a resource is left out.
        cohort: The name of the queues that lend each other.
        preemption: Whether it takes back what others have borrowed, and lower priorities make room for higher ones.
        fair_weight: Its weight in the cohort's fair share; none for one.
        priorities: Value by name of the priorities that its runs may have.
        node_labels: Labels of the machines that the quota is of.
        tolerations: Taints of these machines.
    """

    namespace: str
    quota: Mapping[str, str]
    borrowing: Mapping[str, str] = field(default_factory=dict[str, str])
    lending: Mapping[str, str] = field(default_factory=dict[str, str])
    cohort: str | None = None
    preemption: bool = True
    fair_weight: float | None = None
    priorities: Mapping[str, int] = field(default_factory=dict[str, int])
    node_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: Sequence[Mapping[str, str]] = ()

    @property
    def limits(self) -> dict[str, str]:
        """The most of each resource that one run can ever hold; what may be borrowed without end is left out."""
        from kubernetes import utils

        if self.cohort is None:
            return dict(self.quota)
        bounded = [name for name in self.quota if name in self.borrowing]
        parse = utils.parse_quantity  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return {name: str(parse(self.quota[name]) + parse(self.borrowing[name])) for name in bounded}


def priority_class(title: str, priority: str) -> str:
    """What the class of a queue's priority is called; classes are the whole cluster's."""
    return f"{title}-{priority}"


def flavor_name(title: str, spec: QueueSpec) -> str:
    """What the queue's flavor is called. Kueue lends within a flavor alone, so the queues of a cohort share theirs."""
    if spec.cohort is None:
        return title
    machines = {"labels": dict(spec.node_labels), "tolerations": [dict(each) for each in spec.tolerations]}
    return f"{spec.cohort}-{of_json(machines)[:8]}" if any(machines.values()) else spec.cohort


def objects(title: str, stack: str, spec: QueueSpec) -> list[Manifest]:
    """All objects of a queue, in the order in which they are to be made; the queue itself comes last but priorities.

    Args:
        title: What they are called.
        stack: The Pulumi stack that declares them.
        spec: The queue.
    """
    common = {labels.MANAGED: "trainstack", labels.STACK: labels.value(stack)}

    def manifest(kind: str, name: str, namespace: str | None = None, **content: object) -> Manifest:
        # A flavor that queues share is no stack's.
        own = {key: text for key, text in common.items() if name != shared or key != labels.STACK}
        metadata = {"name": name, "labels": own, **({"namespace": namespace} if namespace else {})}
        return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, **content}

    flavor_title = flavor_name(title, spec)
    shared = flavor_title if spec.cohort is not None else None
    flavor: Manifest = {}
    if spec.node_labels:
        flavor["nodeLabels"] = dict(spec.node_labels)
    if spec.tolerations:
        flavor["tolerations"] = [dict(toleration) for toleration in spec.tolerations]
    classes = [
        manifest(
            "WorkloadPriorityClass",
            priority_class(title, priority),
            value=value,
            description=f"priority {priority} of queue {title}",
        )
        for priority, value in spec.priorities.items()
    ]
    return [
        manifest("ResourceFlavor", flavor_title, spec=flavor),
        manifest("ClusterQueue", title, spec=_cluster_queue(flavor_title, spec)),
        manifest("LocalQueue", title, spec.namespace, spec={"clusterQueue": title}),
        *classes,
    ]


def _cluster_queue(flavor: str, spec: QueueSpec) -> Manifest:
    quota = {**_UNLIMITED, **spec.quota}
    resources = [
        {
            "name": name,
            "nominalQuota": amount,
            **({"borrowingLimit": spec.borrowing[name]} if name in spec.borrowing else {}),
            **({"lendingLimit": spec.lending[name]} if name in spec.lending else {}),
        }
        for name, amount in quota.items()
    ]
    queue: Manifest = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": spec.namespace}},
        "queueingStrategy": "BestEffortFIFO",
        "resourceGroups": [{"coveredResources": list(quota), "flavors": [{"name": flavor, "resources": resources}]}],
        "preemption": {
            "withinClusterQueue": "LowerPriority" if spec.preemption else "Never",
            "reclaimWithinCohort": "Any" if spec.preemption and spec.cohort else "Never",
        },
    }
    if spec.cohort is not None:
        queue["cohortName"] = spec.cohort
    if spec.fair_weight is not None:
        queue["fairSharing"] = {"weight": f"{spec.fair_weight:g}"}
    return queue
