"""Web services: a registered model behind TensorFlow Serving's REST paths and the Open Inference Protocol."""

from __future__ import annotations

import secrets

from pulumi.dynamic import CreateResult, DiffResult, UpdateResult

from trainstack.core.models import model
from trainstack.core.services import service
from trainstack.core.services.certificate import check_certificate
from trainstack.core.services.runner import ServingImages, runner_of
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError, WorkspaceNotFoundError
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
    with_workspace_id,
    workspace_of,
)
from trainstack.provider.web_service_inputs import placed
from trainstack.server.http.auth import key_digest
from trainstack.targets import registry

_TLS = ("tls_certificate", "tls_key")


class WebServiceProvider(BaseProvider):
    """A served model."""

    content = (
        "model_name", "model_version", "model_digest", "port", "host", "traffic", "mirror", "labels", "key_rotation",
        "allowed_hosts", "cors_origins", "grpc_port",
        "tls_certificate", "tls_key", "capture", "runtime", "workers", "server", "server_image",
        "serving", "image", "object_name",
    )  # fmt: skip

    def accept(self, news: Properties) -> Properties:
        """Check all that can be known; a port that somebody else listens on is refused here."""
        images.check(news)
        spec = validated(service.ServiceSpec, placed(news), "web service")
        if spec is None:
            return news
        runner = runner_of(spec.target)
        runner.check(spec, [name for name, value in news.items() if value])
        check_certificate(spec, absolute)
        runner.check_remote(spec, log_of(news).warn)
        if known(news["workspace"]):
            try:
                record = service.find(workspace_of(news), spec.name)
            except (NotFoundError, WorkspaceNotFoundError):
                record = None
            service.validate_port(spec, record)
        return news

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Also look whether it is to run elsewhere, and whether the server that it should have is gone."""
        moved = changed(("target", "docker_host", *registry.names()), images.compute_of(olds), images.compute_of(news))
        before: list[str] = olds.get("drift") or []
        drift = [*before, *(f"its compute's {name} changed" for name in moved)]
        if not drift and _is_down(olds):
            log_of(news).info("service is down: starts again")
            # Beside what else has changed, which the engine shows.
            compared = super().compare(olds, news)
            return DiffResult(changes=True, replaces=compared.replaces)
        return super().compare({**olds, "drift": drift}, news)

    def create(self, props: Properties) -> CreateResult:
        """Start it, and wait until it serves this very model."""
        return CreateResult(props["name"], with_workspace_id(self._serve(own(props), {})))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Serve what is wanted now."""
        return UpdateResult(with_workspace_id(self._serve(own(_news), own(_olds))))

    def refresh(self, properties: Properties) -> Properties:
        """Ask the service whether it is up and which model it serves."""
        status = service.status(workspace_of(properties), properties["name"])
        reason = status.drift(properties["model_digest"])
        return {"drift": [reason] if reason else []}

    def delete(self, _id: str, _props: Properties) -> None:
        """Stop it; its record and log stay in the workspace."""
        try:
            service.stop(workspace_of(_props), _props["name"])
        except NotFoundError:
            return
        except WorkspaceNotFoundError:
            root = absolute(_props["workspace"])
            log_of(_props).warn(f"not stopped, because its workspace is not at {root}: stop it where it runs")

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
        resources = ServingImages(
            images.registry_of(inputs), lambda runtime: images.on_base(inputs, runtime), str(inputs.get("image") or "")
        )
        record = runner_of(spec.target).start(workspace, spec, served, resources, log.progress)
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


def _is_down(properties: Properties) -> bool:
    """Whether no server is left of a service that state says runs: killed, or gone with a reboot of the machine."""
    try:
        record = service.find(workspace_of(properties), properties["name"])
    except TrainstackError:
        # Another machine's, or in a workspace that is not here: a refresh looks closer.
        return False
    return runner_of(record.target).is_down(record)


def new_key(inputs: Properties, before: Properties) -> str:
    """The key that clients send: kept until `key_rotation` changes; empty where none is asked for."""
    rotation = inputs.get("key_rotation")
    if not rotation:
        return ""
    previous = before.get("key") if before.get("key_rotation") == rotation else None
    return previous or secrets.token_urlsafe(32)
