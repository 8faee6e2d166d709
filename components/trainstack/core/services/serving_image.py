"""A registered model and its server as one image: what a cluster can pull, roll out and scale without asking us.

The image is a layer on the curated serving environment, which the cluster's nodes then keep for all models. Its name is
its content: the same model, server and environment are the same image on every machine.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from trainstack.core.images import image as images
from trainstack.core.images.build_plan import BuildPlan, Sources
from trainstack.core.images.image import Image
from trainstack.core.images.registry import Registry
from trainstack.core.models.model import ModelRecord
from trainstack.core.services import container
from trainstack.core.services.record import ServiceSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine.engine_api import DockerClient
from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests
from trainstack.targets.docker.service import FOLDER
from trainstack.targets.kubernetes.objects.service_objects import PORT

_DOCKERFILE = f"""ARG BASE_IMAGE
FROM ${{BASE_IMAGE}}
COPY models {FOLDER}/models
COPY serving {FOLDER}/serving
COPY plan.json {FOLDER}/
""".encode()
_CPUS = 1.0


class ServingContainer(BaseModel):
    """A container that serves one version of a model, in what a cluster is told of it.

    Attributes:
        image: By digest.
        command: The server's command line.
        health: Ends with 0 when it serves this very model.
        digest: The model's digest.
        cpu: CPU that it asks for, as `1000m`.
        memory: Memory that it asks for and may use, as `2048Mi`.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    image: str
    command: tuple[str, ...]
    health: tuple[str, ...]
    digest: str
    cpu: str
    memory: str


def ensure(
    workspace: Workspace,
    spec: ServiceSpec,
    model: ModelRecord,
    environment: Image,
    client: DockerClient,
    registry: Registry,
    progress: images.Progress = images.no_progress,
) -> ServingContainer:
    """Have a model's image in the registry.

    Args:
        workspace: The workspace.
        spec: How the service is asked for.
        model: The registered version.
        environment: A serving environment, in the registry.
        client: The engine that builds.
        registry: Where the cluster pulls from.
        progress: Is told in one line what is going on.

    Raises:
        TrainstackError: The engine or the registry does not answer, or the build failed.
    """
    if "@" not in environment.reference:
        raise TrainstackError(f"service {spec.name}: its environment is not in registry {registry.address}")
    server = container.describe_server(workspace, spec, model, environment, PORT)
    content = digests.of_json([environment.reference, model.digest, server.configuration])

    def sources() -> Sources:
        return _DOCKERFILE, server.content()

    plan = BuildPlan(f"service {spec.name}", model.digest, content, sources, environment.reference)
    return ServingContainer(
        image=images.ensure_built(plan, client, registry, progress),
        command=server.command,
        health=server.health,
        digest=model.digest,
        cpu=f"{int((server.cpus or _CPUS) * 1000)}m",
        memory=f"{int((server.memory or container.LEAST_MEMORY_GIB * 2**30) / 2**20)}Mi",
    )
