"""Web services of the target `docker`: containers of an engine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from trainstack.core.environments import environment
from trainstack.core.images import image
from trainstack.core.models.model import ModelRecord
from trainstack.core.services import container, service
from trainstack.core.services.record import ServiceRecord, ServiceSpec, ServiceStatus
from trainstack.core.services.runner import (
    ServingImages,
    check_local_only,
    check_server_image,
    check_serving_options,
    no_forward,
    refusal,
)
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine import engine_api


class ContainerRunner:
    """Runs services as containers."""

    def check(self, spec: ServiceSpec, inputs: Collection[str]) -> None:
        """Refuse what only processes have, and what TensorFlow Serving lacks.

        Raises:
            InvalidInputError: Names the input.
        """
        check_serving_options(spec)
        check_server_image(spec)
        check_local_only(spec, lambda field: field)
        if spec.server == "tensorflow-serving":
            for field in ("key_rotation", "traffic", "mirror", "labels"):
                if field in inputs:
                    raise refusal(
                        spec,
                        field,
                        f"TensorFlow Serving gets one version and no key: leave out {field}, or take server "
                        "'trainstack'",
                    )

    def check_remote(self, spec: ServiceSpec, warn: Callable[[str], None]) -> None:
        """Nothing: who has the port on the engine's machine shows when the container gets it."""

    def start(
        self,
        workspace: Workspace,
        spec: ServiceSpec,
        model: ModelRecord,
        images: ServingImages,
        progress: Callable[[str], None],
    ) -> ServiceRecord:
        """Have the server's image on the engine, and start a container of it.

        Raises:
            InvalidInputError: The port is taken, or the model cannot be served.
            TrainstackError: The engine does not answer, or the server did not come up.
        """
        models = service.served_models(workspace, spec, model)
        for served in models:
            service.check_servable(workspace, served)
        service.leave(workspace, spec, progress)
        with engine_api.connected(spec.docker_host) as client:
            if spec.server == "tensorflow-serving":
                reference = spec.server_image or service.tensorflow_serving_image(model.framework_version)
                server_image = image.pull(client, reference, images.registry, progress)
            else:
                runtime = images.on_base(environment.get_curated(service.environment_of(models)))
                lock = environment.lock(runtime, progress=progress, here=False)
                server_image = image.ensure(runtime, lock, client, images.registry, progress)
            return container.start(workspace, spec, model, server_image, client, progress)

    def status(self, workspace: Workspace, record: ServiceRecord) -> ServiceStatus:
        """Ask the engine for the container's health."""
        return container.status(workspace, record)

    def is_down(self, record: ServiceRecord) -> bool:
        """No: an engine starts again what has ended."""
        return False

    def stop(self, workspace: Workspace, record: ServiceRecord, drain: int) -> None:
        """End and remove its containers.

        Raises:
            TrainstackError: The engine does not answer.
        """
        container.stop(workspace, record, drain)

    def must_end(self, record: ServiceRecord, spec: ServiceSpec) -> bool:
        """Whether the service goes to another target or engine."""
        return (record.target, record.docker_host) != (spec.target, spec.docker_host)

    def forward(
        self, record: ServiceRecord, port: int, progress: Callable[[str], None]
    ) -> AbstractContextManager[object]:
        """Refuse: its port is one of the engine's machine.

        Raises:
            InvalidInputError: Always.
        """
        raise no_forward(record)
