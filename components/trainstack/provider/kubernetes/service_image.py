"""The image of a web service on a cluster: model and server in one, pushed to the workspace's registry."""

from __future__ import annotations

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.environments import environment
from trainstack.core.models import model
from trainstack.core.services import service
from trainstack.errors import InvalidInputError
from trainstack.provider import images
from trainstack.provider.base import BaseProvider, Properties, log_of, own, validated, workspace_of
from trainstack.provider.web_service import new_key
from trainstack.server.http.auth import key_digest


class ServiceImageProvider(BaseProvider):
    """A served model as an image."""

    content = (
        "model_name", "model_version", "model_digest", "traffic", "mirror", "labels", "runtime", "workers",
        "key_rotation", "allowed_hosts", "cors_origins", "compute", "registry", "base_image",
    )  # fmt: skip

    def accept(self, news: Properties) -> Properties:
        """Check all that can be known: a cluster pulls from a registry, so there is to be one."""
        images.check(news)
        return news

    def create(self, props: Properties) -> CreateResult:
        """Find it in the registry, else build and push it."""
        return CreateResult(props["name"], self._ensure(own(props), {}))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Make the one that is wanted now."""
        return UpdateResult(self._ensure(own(_news), own(_olds)))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Keep what is known: pods that cannot pull it say so."""
        return ReadResult(id_, own(props))

    def _ensure(self, inputs: Properties, before: Properties) -> Properties:
        from trainstack.core.images import image
        from trainstack.core.services import serving_image
        from trainstack.docker_engine import engine_api

        spec = validated(service.ServiceSpec, inputs, "web service")
        registry = images.registry_of(inputs)
        if spec is None or registry is None:
            raise InvalidInputError(f"web service {inputs['name']}: an input is not known")
        key = new_key(inputs, before)
        spec = spec.model_copy(update={"key_digests": (key_digest(key),) if key else ()})
        workspace, log = workspace_of(inputs), log_of(inputs)
        served = model.find(workspace, inputs["model_name"], int(inputs["model_version"]))
        service.check_servable(workspace, served)
        runtime = images.on_base(inputs, environment.get_curated(service.serving_environment(served.framework_version)))
        with engine_api.connected(spec.docker_host) as client:
            lock = environment.lock(runtime, progress=log.progress, here=False)
            base = image.ensure(runtime, lock, client, registry, log.progress)
            built = serving_image.ensure(workspace, spec, served, base, client, registry, log.progress)
        log.info(f"image of {served.name} version {served.version}")
        return {**inputs, "container": built.model_dump(mode="json"), "key": key, "drift": []}
