"""Web services of the target `kubernetes`: what a program declares on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from trainstack.core.compute.compute import PATIENCE_SECONDS
from trainstack.core.models.model import ModelRecord
from trainstack.core.services import cluster, service
from trainstack.core.services.record import ServiceRecord, ServiceSpec, ServiceStatus
from trainstack.core.services.runner import ServingImages, check_local_only, check_server_image, refusal
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.port_forward import forwarding
from trainstack.targets.kubernetes.checks import prerequisites
from trainstack.targets.kubernetes.objects.service_objects import PORT


class ClusterRunner:
    """Waits for the pods of services."""

    def check(self, spec: ServiceSpec, inputs: Collection[str]) -> None:
        """Refuse what only processes and containers have.

        Raises:
            InvalidInputError: Names the input.
        """
        if spec.server != "trainstack":
            raise refusal(spec, "server", f"server {spec.server!r} is for a compute with target 'docker'")
        check_server_image(spec)
        check_local_only(spec, _instead)

    def check_remote(self, spec: ServiceSpec, warn: Callable[[str], None]) -> None:
        """Refuse what the cluster does not serve, or another service has there.

        Raises:
            InvalidInputError: Says what, and what to do.
        """
        if spec.serving is None:
            return
        where, serving = cluster.cluster_of(spec), cluster.serving_of(spec)
        for field in ("node_port", "host"):
            value = getattr(serving, field)
            if value is not None:
                key = str(where.context), field, str(value)
                if (owner := _OWNERS.setdefault(key, spec.object_name)) != spec.object_name:
                    raise refusal(spec, field, f"kubernetes: {field} {value} is that of {owner} already: take another")
        try:
            prerequisites.check(KubernetesApi(where), spec.name, spec.object_name, serving, PATIENCE_SECONDS)
        except InvalidInputError as exc:
            raise refusal(spec, exc.field, str(exc)) from exc
        except TrainstackError as exc:
            warn(f"what it needs of its cluster is not checked: {exc}")

    def start(
        self,
        workspace: Workspace,
        spec: ServiceSpec,
        model: ModelRecord,
        images: ServingImages,
        progress: Callable[[str], None],
    ) -> ServiceRecord:
        """Wait until every pod serves the model.

        Raises:
            TrainstackError: They do not come to serve it, or the cluster does not answer.
        """
        service.leave(workspace, spec, progress)
        return cluster.start(workspace, spec, model, images.built, progress)

    def status(self, workspace: Workspace, record: ServiceRecord) -> ServiceStatus:
        """Ask the cluster for its rollout."""
        return cluster.status(record)

    def is_down(self, record: ServiceRecord) -> bool:
        """No: a cluster starts again what has ended."""
        return False

    def stop(self, workspace: Workspace, record: ServiceRecord, drain: int) -> None:
        """Note that it is stopped; its objects go as they were declared."""
        cluster.stop(record)

    def must_end(self, record: ServiceRecord, spec: ServiceSpec) -> bool:
        """No: its objects go as they were declared."""
        return False

    def forward(
        self, record: ServiceRecord, port: int, progress: Callable[[str], None]
    ) -> AbstractContextManager[object]:
        """Forward through the API server."""
        return forwarding(KubernetesApi(cluster.cluster_of(record)), record.object_name, PORT, port, progress)


# Which service of the program has a port or a host of a cluster: the process is that of one preview or update.
_OWNERS: dict[tuple[str, str, str], str] = {}


def _instead(field: str) -> str:
    if field == "capture":
        return field
    return f"{field} (on a cluster, kubernetes has expose, host and tls_secret)"
