"""Web services: a registered model behind TensorFlow Serving's REST paths and the Open Inference Protocol."""

from __future__ import annotations

import secrets

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, UpdateResult

from trainstack.core.environments import environment
from trainstack.core.models import model
from trainstack.core.services import service
from trainstack.core.services.certificate import check_certificate
from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.provider import images
from trainstack.provider.base import (
    BaseProvider,
    Properties,
    absolute,
    changed,
    known,
    log_of,
    own,
    validated,
    workspace_of,
)
from trainstack.provider.web_service_checks import check_cluster, check_place, placed
from trainstack.server.http.auth import key_digest

_TLS = ("tls_certificate", "tls_key")


class WebServiceProvider(BaseProvider):
    """A served model."""

    content = (
        "model_name", "model_version", "model_digest", "port", "host", "traffic", "mirror", "labels", "key_rotation",
        "tls_certificate", "tls_key", "capture", "runtime", "workers", "server", "server_image",
        "serving", "image", "object_name",
    )  # fmt: skip

    def accept(self, news: Properties) -> Properties:
        """Check all that can be known; a port that somebody else listens on is refused here."""
        images.check(news)
        spec = validated(service.ServiceSpec, placed(news), "web service")
        if spec is None:
            return news
        check_place(spec, news)
        if not spec.is_local and spec.target != "kubernetes" and not news.get("key_rotation"):
            raise InvalidInputError(
                f"web service {spec.name}: host {spec.host} is not this machine alone, so it takes a key: "
                "set key_rotation to any text",
                field="key_rotation",
            )
        check_certificate(spec, absolute)
        check_cluster(spec, log_of(news))
        if known(news["workspace"]):
            try:
                record = service.find(workspace_of(news), spec.name)
            except NotFoundError:
                record = None
            service.validate_port(spec, record)
        return news

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Also look whether it is to run elsewhere."""
        moved = changed(("target", "docker_host", "kubernetes"), images.compute_of(olds), images.compute_of(news))
        before: list[str] = olds.get("drift") or []
        drift = [*before, *(f"its compute's {name} changed" for name in moved)]
        return super().compare({**olds, "drift": drift}, news)

    def create(self, props: Properties) -> CreateResult:
        """Start it, and wait until it serves this very model."""
        return CreateResult(props["name"], self._serve(own(props), {}))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Serve what is wanted now."""
        return UpdateResult(self._serve(own(_news), own(_olds)))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Ask the service whether it is up and which model it serves."""
        try:
            workspace = workspace_of(props)
            status = service.status(workspace, props["name"])
        except NotFoundError:
            return ReadResult("", {})
        reason = status.drift(props["model_digest"])
        return ReadResult(id_, {**own(props), "drift": [reason] if reason else []})

    def delete(self, _id: str, _props: Properties) -> None:
        """Stop it; its record and log stay in the workspace."""
        try:
            service.stop(workspace_of(_props), _props["name"])
        except NotFoundError:
            return

    def _serve(self, inputs: Properties, before: Properties) -> Properties:
        spec = validated(service.ServiceSpec, placed(inputs), "web service")
        if spec is None:
            raise InvalidInputError(f"web service {inputs['name']}: an input is not known")
        key = new_key(inputs, before)
        files = {field: str(absolute(path)) for field in _TLS if (path := getattr(spec, field)) is not None}
        spec = spec.model_copy(update={**files, "key_digests": (key_digest(key),) if key else ()})
        log = log_of(inputs)
        workspace = workspace_of(inputs)
        served = model.find(workspace, inputs["model_name"], int(inputs["model_version"]))
        if spec.target == "docker":
            record = self._serve_from_container(inputs, spec, served)
        elif spec.target == "kubernetes":
            from trainstack.core.services import cluster as cluster_service

            self._leave_container(inputs, spec)
            record = cluster_service.start(workspace, spec, served, inputs["image"], log.progress)
        else:
            self._leave_container(inputs, spec)
            runtime = environment.get_curated(service.environment_of(service.served_models(workspace, spec, served)))
            built = environment.build(runtime, environment.lock(runtime), log.progress)
            record = service.start(workspace, spec, served, built.python, log.progress)
        log.info(f"{served.name} version {served.version} at {record.scoring_uri}")
        return {
            **inputs,
            "scoring_uri": record.scoring_uri,
            "served_port": record.port,
            "runtime": spec.runtime,
            "served_runtime": record.runtime,
            "runtime_reason": record.runtime_reason,
            "key": key,
            "drift": [],
        }

    def _serve_from_container(
        self, inputs: Properties, spec: service.ServiceSpec, served: model.ModelRecord
    ) -> service.ServiceRecord:
        from trainstack.core.images import image
        from trainstack.core.services import container as container_service
        from trainstack.docker_engine import engine_api

        workspace, log = workspace_of(inputs), log_of(inputs)
        models = service.served_models(workspace, spec, served)
        for one in models:
            service.check_servable(workspace, one)
        self._leave_container(inputs, spec)
        with engine_api.connected(spec.docker_host) as client:
            if spec.server == "tensorflow-serving":
                named = spec.server_image or service.tensorflow_serving_image(served.framework_version)
                found = image.pull(client, named, images.registry_of(inputs), log.progress)
            else:
                runtime = images.on_base(inputs, environment.get_curated(service.environment_of(models)))
                lock = environment.lock(runtime, progress=log.progress, here=False)
                found = image.ensure(runtime, lock, client, images.registry_of(inputs), log.progress)
            return container_service.start(workspace, spec, served, found, client, log.progress)

    def _leave_container(self, inputs: Properties, spec: service.ServiceSpec) -> None:
        """End what an engine still serves that is not the one to serve from now."""
        workspace = workspace_of(inputs)
        try:
            before = service.find(workspace, spec.name)
        except NotFoundError:
            return
        if before.target == "docker" and (spec.target, spec.docker_host) != ("docker", before.docker_host):
            log_of(inputs).progress("ending it where it was")
            service.stop(workspace, spec.name)


def new_key(inputs: Properties, before: Properties) -> str:
    """The key that clients send: kept until `key_rotation` changes; empty where none is asked for."""
    rotation = inputs.get("key_rotation")
    if not rotation:
        return ""
    kept = before.get("key") if before.get("key_rotation") == rotation else None
    return kept or secrets.token_urlsafe(32)
