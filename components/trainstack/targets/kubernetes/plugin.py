"""The registration of the target `kubernetes`. The client library is loaded by what connects, not with this module."""

from __future__ import annotations

from collections.abc import Callable

from trainstack import process_environment
from trainstack.errors import InvalidInputError
from trainstack.storage.object_store.address import checked_for_pods
from trainstack.storage.object_store.presigned import PresignedStore
from trainstack.targets.base import Capacity, DriverHost, Target
from trainstack.targets.compute_spec import ComputeSpec
from trainstack.targets.kubernetes import installed
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.plugin import Capabilities, LocationKey, TargetPlugin


class KubernetesPlugin(TargetPlugin):
    """A Kubernetes cluster: one pod per node."""

    name = "kubernetes"
    capabilities = Capabilities(uses_images=True, needs_registry=True, elastic_capacity=True, remote=True)
    config = "trainstack.targets.kubernetes.config:KubernetesConfig"
    serving = "trainstack.targets.kubernetes.objects.serving_spec:ServingSpec"
    service_runner = "trainstack.core.services.runners.cluster:ClusterRunner"
    compute_component = "trainstack.components.kubernetes.compute:ClusterCompute"
    service_component = "trainstack.components.kubernetes.service:ClusterService"
    variables = process_environment.KUBERNETES

    def open(self, spec: ComputeSpec) -> Target:
        """Return the cluster."""
        from trainstack.targets.kubernetes.target import KubernetesTarget  # loads the client library

        store = PresignedStore(f"{spec.object_store.rstrip('/')}/transfer") if spec.object_store else None
        return KubernetesTarget(config_of(spec), low_priority=spec.priority == "low", store=store)

    def drives_runs(self, _spec: ComputeSpec) -> bool:
        """Whether the compute has a driver."""
        return config_of(_spec).driver is not None

    def driver_host(self, _spec: ComputeSpec) -> DriverHost:
        """Return the Jobs that drive runs."""
        from trainstack.targets.kubernetes.driver_job import DriverJobs  # loads the client library

        return DriverJobs(config_of(_spec))

    def location(self, spec: ComputeSpec) -> LocationKey:
        """Return the context, with the namespace and what makes pods there."""
        config = config_of(spec)
        # What one kind of job has made, the other does not look for.
        return spec.target, config.context, f"{config.namespace} {config.engine}"

    def describe(self, spec: ComputeSpec) -> str:
        """Name the namespace and its cluster."""
        return config_of(spec).described

    def check(self, spec: ComputeSpec) -> None:
        """Refuse a workspace in an object store that pods cannot reach, and to go on without the extra's packages.

        Raises:
            InvalidInputError: Its server is on the loopback, or a package is not installed.
        """
        installed.require()
        super().check(spec)
        # With a claim as their store pods do not go there.
        if spec.object_store and config_of(spec).store is None:
            checked_for_pods(spec.object_store, "root")

    def check_size(self, spec: ComputeSpec, node: Callable[[], Capacity]) -> None:
        """Refuse more nodes than the compute's own quota ever holds.

        Raises:
            InvalidInputError: Says which resource.
        """
        config = config_of(spec)
        if config.quota:
            from trainstack.targets.kubernetes.checks import quota  # loads the client library

            quota.check(config, node(), spec.max_nodes)

    def check_compute(self, spec: ComputeSpec, node: Callable[[], Capacity], seconds: float) -> None:
        """Ask the cluster for the namespace, its claims and its quotas.

        Raises:
            InvalidInputError: The namespace is missing and is not to be created, or never holds one node, nor does
                a machine that is there; a claim is missing, or a store that not all nodes can write to.
            TrainstackError: The cluster does not answer.
        """
        # These load the client library.
        from trainstack.targets.kubernetes.checks import karpenter, machine_room, namespace_check, pvc

        config = config_of(spec)
        namespace_check.check_namespace(config, seconds)
        pvc.check_found(config, spec.max_nodes, seconds)
        machine_room.check(config, node(), seconds)
        karpenter.check(config, seconds)
        self.check_run(spec, node, 1, seconds)

    def check_run(self, spec: ComputeSpec, node: Callable[[], Capacity], node_count: int, seconds: float) -> None:
        """Refuse more nodes than the quotas of the namespace, or of the queue, ever hold.

        Raises:
            InvalidInputError: Says which quota and which resource; there is no such queue.
            TrainstackError: The cluster does not answer.
        """
        from trainstack.targets.kubernetes.checks import queue, quota  # these load the client library

        quota.check_found(config_of(spec), node(), node_count, seconds)
        queue.check(config_of(spec), node(), node_count, seconds)


def config_of(spec: ComputeSpec) -> KubernetesConfig:
    """Return which cluster a compute means."""
    if not isinstance(spec.config, KubernetesConfig):
        raise InvalidInputError(f"compute {spec.name!r} is on target {spec.target!r}, not on a cluster", field="target")
    return spec.config
