"""Models: immutable versions of a run's files, registered under a name."""

from __future__ import annotations

import json
from pathlib import Path

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.models import aliases, model
from trainstack.core.workspace.project import portable, project_root
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import GateError, InvalidInputError, NotFoundError
from trainstack.provider.base import BaseProvider, Properties, absolute, known, log_of, own, validated, workspace_of


class ModelProvider(BaseProvider):
    """A registered model; the resource is the name, its version grows."""

    content = (
        "path",
        "framework",
        "framework_version",
        "description",
        "tags",
        "sample_input",
        "resource_configuration",
        "run_id",
        "alias",
        "require",
    )

    def accept(self, news: Properties) -> Properties:
        """Check the name and the path's form; whether a run leaves something there shows when it has run."""
        spec = _spec(news)
        if spec is not None:
            checked_name(spec.name, "model")
        if known(given := news.get("alias") or {}):
            news = {**news, "alias": aliases.validated(given)}
        _check_gate(news)
        path = news["path"]
        if known(path) and "run_id" not in news and not absolute(path).exists():
            raise InvalidInputError(f"model {news['name']}: there is nothing at {path}")
        if known(path) and "run_id" in news and (".." in Path(path).parts or Path(path).is_absolute()):
            raise InvalidInputError(f"model {news['name']}: path {path!r} must lead into the run, like outputs/model")
        return news

    def create(self, props: Properties) -> CreateResult:
        """Register it; files that are those of the latest version make no new one."""
        return CreateResult(props["name"], self._register(own(props)))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Repair what drifted, register what changed, and move aliases."""
        if _olds.get("drift"):
            workspace = workspace_of(_news)
            model.restore(workspace, model.find(workspace, _olds["name"], int(_olds["version"])))
        return UpdateResult(self._register(own(_news), _olds.get("alias")))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Compare the version's files with their digests."""
        try:
            workspace = workspace_of(props)
            record = model.find(workspace, props["name"], int(props["version"]))
        except NotFoundError:
            return ReadResult("", {})
        moved = moved_aliases(workspace, props)
        return ReadResult(id_, {**own(props), "drift": [*model.find_drift(workspace, record), *moved]})

    def _register(self, inputs: Properties, had: Properties | None = None) -> Properties:
        spec = _spec(inputs)
        if spec is None:
            raise InvalidInputError(f"model {inputs['name']}: an input is not known")
        log = log_of(inputs)
        run_id = inputs.get("run_id")
        source = Path(inputs["path"]) if run_id else absolute(inputs["path"])
        workspace = workspace_of(inputs)
        if run_id and (require := inputs.get("require")):
            from trainstack.core.models import gate

            gate.check(workspace, spec.name, run_id, gate.parse(require))
        record = model.register(workspace, spec, source, run_id, log.progress)
        log.info(f"version {record.version}, {record.digest[:12]}")
        wanted = alias_versions(inputs, record.version)
        aliases.move(workspace, spec.name, wanted, had)
        return {**outputs(inputs, record), "aliases": wanted}


def alias_versions(inputs: Properties, version: int) -> dict[str, int]:
    """The aliases of a model's resource, each with the number of its version."""
    given: dict[str, int | str] = aliases.validated(inputs.get("alias") or {})
    return {alias: version if wanted == aliases.LATEST else int(wanted) for alias, wanted in given.items()}


def moved_aliases(workspace: Workspace, props: Properties) -> list[str]:
    """What has become of a model's aliases that somebody else moved, a sentence each."""
    there = aliases.read(workspace, props["name"])
    return [
        f"alias {alias} is {f'version {there[alias]}' if alias in there else 'gone'}, not version {version}"
        for alias, version in alias_versions(props, int(props["version"])).items()
        if there.get(alias) != version
    ]


def _check_gate(news: Properties) -> None:
    """Refuse in preview what can be known then: conditions that cannot be read, and a finished run that fails them."""
    require: dict[str, str] = news.get("require") or {}
    if not require or not known(require):
        return
    from trainstack.core.models import gate

    conditions = gate.parse(require)
    if "run_id" not in news:
        raise InvalidInputError(f"model {news['name']}: require needs the metrics of a run: give `run`")
    if known(news["run_id"]) and known(news["workspace"]):
        try:
            gate.check(workspace_of(news), str(news["name"]), str(news["run_id"]), conditions)
        except NotFoundError:
            return
        except GateError as exc:
            raise InvalidInputError(str(exc)) from exc


def outputs(inputs: Properties, record: model.ModelRecord) -> Properties:
    """What a model's resource says of it."""
    return {
        **inputs,
        "version": record.version,
        "digest": record.digest,
        "files": record.files if len(record.files) <= 200 else {},
        "directory": portable(Path(record.path), project_root()),
        "drift": [],
    }


def _spec(inputs: Properties) -> model.ModelSpec | None:
    sample = inputs.get("sample_input")
    parsed = json.loads(sample) if isinstance(sample, str) and known(sample) else sample
    return validated(model.ModelSpec, {**inputs, "sample_input": parsed}, "model")
