"""Web services of the target `local`: server processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

from trainstack.core.environments import environment
from trainstack.core.models.model import ModelRecord
from trainstack.core.services import process, service
from trainstack.core.services.record import ServiceRecord, ServiceSpec, ServiceStatus
from trainstack.core.services.runner import (
    ServingImages,
    check_server_image,
    check_serving_options,
    no_forward,
    refusal,
)
from trainstack.core.workspace.workspace import Workspace


class ProcessRunner:
    """Runs services as processes."""

    def check(self, spec: ServiceSpec, inputs: Collection[str]) -> None:
        """Refuse what only containers have, and an open host without a key.

        Raises:
            InvalidInputError: Names the input.
        """
        check_serving_options(spec)
        if spec.server != "trainstack":
            raise refusal(
                spec,
                "server",
                f"server {spec.server!r} runs in a container only: give a compute with target 'docker', or take "
                "'trainstack'",
            )
        check_server_image(spec)
        if not spec.is_local and "key_rotation" not in inputs:
            raise refusal(
                spec,
                "key_rotation",
                f"host {spec.host} is not this machine alone, so it takes a key: set key_rotation to any text",
            )

    def check_remote(self, spec: ServiceSpec, warn: Callable[[str], None]) -> None:
        """Nothing is remote."""

    def start(
        self,
        workspace: Workspace,
        spec: ServiceSpec,
        model: ModelRecord,
        images: ServingImages,
        progress: Callable[[str], None],
    ) -> ServiceRecord:
        """Build the serving environment as a folder, and start a server in it.

        Raises:
            InvalidInputError: The port is taken, or the model or the certificate cannot be served.
            TrainstackError: It did not come up.
        """
        runtime = environment.get_curated(service.environment_of(service.served_models(workspace, spec, model)))
        built = environment.build(runtime, environment.lock(runtime), progress)
        return service.start(workspace, spec, model, built.python, progress)

    def status(self, workspace: Workspace, record: ServiceRecord) -> ServiceStatus:
        """Ask the server at its port."""
        return service.process_status(record)

    def is_down(self, record: ServiceRecord) -> bool:
        """Look whether a server holds its lock."""
        return not process.is_alive(Path(record.folder))

    def stop(self, workspace: Workspace, record: ServiceRecord, drain: int) -> None:
        """End its processes.

        Raises:
            TrainstackError: One does not end.
        """
        service.stop_processes(workspace, record.name, record, drain)

    def must_end(self, record: ServiceRecord, spec: ServiceSpec) -> bool:
        """No: whatever starts the service elsewhere ends its processes once it is healthy there."""
        return False

    def forward(
        self, record: ServiceRecord, port: int, progress: Callable[[str], None]
    ) -> AbstractContextManager[object]:
        """Refuse: its port is one of this machine.

        Raises:
            InvalidInputError: Always.
        """
        raise no_forward(record)
