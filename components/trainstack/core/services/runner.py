"""What runs the web services of one target, and how it is found: by the target's registration."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, cast

from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.images.registry import Registry
from trainstack.core.models.model import ModelRecord
from trainstack.core.services.record import ServiceRecord, ServiceSpec, ServiceStatus
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.targets import registry


def _same(spec: EnvironmentSpec) -> EnvironmentSpec:
    return spec


@dataclass(frozen=True)
class ServingImages:
    """Where a server's image comes from.

    Attributes:
        registry: The workspace's image registry.
        on_base: Puts an environment on the workspace's base image.
        built: The image that was built for this service already; empty where there is none.
    """

    registry: Registry | None = None
    on_base: Callable[[EnvironmentSpec], EnvironmentSpec] = _same
    built: str = ""


class ServiceRunner(Protocol):
    """Runs the web services of one target."""

    def check(self, spec: ServiceSpec, inputs: Collection[str]) -> None:
        """Refuse what the target does not offer. Connects to nothing.

        Args:
            spec: How the service is asked for.
            inputs: The inputs that the program gives.

        Raises:
            InvalidInputError: Names what to leave out.
        """
        ...

    def check_remote(self, spec: ServiceSpec, warn: Callable[[str], None]) -> None:
        """Ask the target whether what the service relies on exists there.

        Args:
            spec: How the service is asked for.
            warn: Called when the target does not answer.

        Raises:
            InvalidInputError: Says what is missing.
        """
        ...

    def start(
        self,
        workspace: Workspace,
        spec: ServiceSpec,
        model: ModelRecord,
        images: ServingImages,
        progress: Callable[[str], None],
    ) -> ServiceRecord:
        """Make a service serve a model, and return when it does.

        Raises:
            TrainstackError: It does not come up, or the target does not answer.
        """
        ...

    def status(self, workspace: Workspace, record: ServiceRecord) -> ServiceStatus:
        """Ask a service how it does; one whose target does not answer is down."""
        ...

    def is_down(self, record: ServiceRecord) -> bool:
        """Whether no server is left that could answer, as a look of a millisecond tells; asks nobody.

        False where the target itself starts again what has ended.
        """
        ...

    def stop(self, workspace: Workspace, record: ServiceRecord, drain: int) -> None:
        """End its servers, and note it in its record.

        Raises:
            TrainstackError: The target does not answer, or a server does not end.
        """
        ...

    def must_end(self, record: ServiceRecord, spec: ServiceSpec) -> bool:
        """Whether the server of a record must be stopped before the service can start where `spec` says."""
        ...

    def forward(
        self, record: ServiceRecord, port: int, progress: Callable[[str], None]
    ) -> AbstractContextManager[object]:
        """Forward a port of this machine to the service.

        Raises:
            InvalidInputError: It is reached without.
        """
        ...


def runner_of(target: str) -> ServiceRunner:
    """Return what runs the web services of a target.

    Raises:
        InvalidInputError: The target serves nothing.
    """
    plugin = registry.plugin(target)
    if not plugin.serves:
        raise InvalidInputError(f"target {target!r} runs no web services: take another compute", field="compute")
    return cast("ServiceRunner", registry.load(plugin.service_runner)())


def refusal(spec: ServiceSpec, field: str, reason: str) -> InvalidInputError:
    """Return the error that a service cannot be as asked for."""
    return InvalidInputError(f"web service {spec.name}: {reason}", field=field)


def check_serving_options(spec: ServiceSpec) -> None:
    """Refuse the options of a cluster where there is none.

    Raises:
        InvalidInputError: There are some.
    """
    if spec.serving is not None:
        reason = "kubernetes is for a compute with target 'kubernetes': leave it out"
        raise refusal(spec, "kubernetes", reason)


def check_local_only(spec: ServiceSpec, instead: Callable[[str], str]) -> None:
    """Refuse what only services of this machine have.

    Args:
        spec: How the service is asked for.
        instead: Says of a field what to leave out, and what to take in its place.

    Raises:
        InvalidInputError: Names the field.
    """
    fields = {
        "host": not spec.is_local,
        "tls_certificate": spec.tls_certificate,
        "capture": spec.capture,
        "grpc_port": spec.grpc_port,
    }
    for field in (field for field, value in fields.items() if value):
        raise refusal(spec, field, f"{field} is for services of this machine: leave out {instead(field)} or compute")


def check_server_image(spec: ServiceSpec) -> None:
    """Refuse an image for a server that has one of its own.

    Raises:
        InvalidInputError: There is one.
    """
    if spec.server_image and spec.server != "tensorflow-serving":
        raise refusal(spec, "server_image", "server_image is for server 'tensorflow-serving': leave it out")


def no_forward(record: ServiceRecord) -> InvalidInputError:
    """Return the error that a service needs no forwarded port."""
    return InvalidInputError(
        f"service {record.name} is not on a cluster: it is reached at {record.scoring_uri}", field="name"
    )
