"""Web services: a registered model behind TensorFlow Serving's REST paths."""

from __future__ import annotations

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.lifecycle import environment, model, service
from trainstack.provider.base import (
    LifecycleProvider,
    Properties,
    known,
    own,
    row,
    validated,
    workspace_of,
)


class WebServiceProvider(LifecycleProvider):
    """A served model."""

    content = ("model_name", "model_version", "model_digest", "port")

    def accept(self, news: Properties) -> Properties:
        """Check name and port; a port that somebody else listens on is refused here."""
        spec = validated(service.ServiceSpec, news, "web service")
        if spec is not None and known(news["workspace"]):
            try:
                record = service.find(workspace_of(news), spec.name)
            except NotFoundError:
                record = None
            service.validate_port(spec, record)
        return news

    def create(self, props: Properties) -> CreateResult:
        """Start it, and wait until it serves this very model."""
        return CreateResult(props["name"], self._serve(own(props)))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Serve the model that is wanted now."""
        return UpdateResult(self._serve(own(_news)))

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

    def _serve(self, inputs: Properties) -> Properties:
        spec = validated(service.ServiceSpec, inputs, "web service")
        if spec is None:
            raise InvalidInputError(f"web service {inputs['name']}: an input is not known")
        shown = row(inputs)
        workspace = workspace_of(inputs)
        served = model.find(workspace, inputs["model_name"], int(inputs["model_version"]))
        runtime = environment.get_curated(service.serving_environment(served.framework_version))
        built = environment.build(runtime, environment.lock(runtime), shown.progress)
        record = service.replace(workspace, spec, served, built.python, shown.progress)
        shown.info(f"{served.name} version {served.version} at {record.scoring_uri}")
        return {**inputs, "scoring_uri": record.scoring_uri, "served_port": record.port, "drift": []}
