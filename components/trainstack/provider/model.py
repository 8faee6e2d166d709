"""Models: immutable versions of a run's files, registered under a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pulumi.dynamic import DiffResult

from trainstack.abbreviation import abbreviated
from trainstack.core.history import shown_aliases
from trainstack.core.models import aliases, gate, model, source
from trainstack.core.models.keras_file import export_advice
from trainstack.core.models.model_record import ModelInputs, ModelOutputs, ModelSpec, listed
from trainstack.core.runs.change_lines import compare_mappings
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import GateError, InvalidInputError, NotFoundError, WorkspaceNotFoundError
from trainstack.provider.base import BaseProvider, Properties, absolute, known, log_of, parsed, validated, workspace_of
from trainstack.storage import digest as digests


class VersionedModelProvider(BaseProvider):
    """What registered and promoted models share: files that drift and are put back, and aliases that move."""

    def refresh(self, properties: Properties) -> Properties:
        """Compare the version's files with their digests, and its aliases with the workspace's and the server's."""
        workspace = workspace_of(properties)
        record = model.find(workspace, properties["name"], int(properties["version"]))
        return {"drift": [*model.find_drift(workspace, record), *_moved_aliases(workspace, properties)]}

    def restore_drift(self, workspace: Workspace, olds: Properties | None) -> None:
        """Put back the files of a version that has drifted."""
        if olds and olds.get("drift"):
            model.restore(workspace, model.find(workspace, olds["name"], int(olds["version"])))


class ModelProvider(VersionedModelProvider, inputs=ModelInputs):
    """A registered model; the resource is the name, its version grows."""

    def accept(self, news: Properties) -> Properties:
        """Check the name and the path; whether a run leaves something there shows once it has run."""
        spec = validated(ModelSpec, _with_sample(news), "model")
        if spec is not None:
            checked_name(spec.name, "model")
        if known(news.get("alias") or {}):
            news = {**news, "alias": aliases.validated(news.get("alias") or {})}
        _check_gate(news)
        path = news["path"]
        if known(path) and (advice := export_advice([path])):
            log_of(news).info(advice)
        if known(path) and "run_id" not in news and not absolute(path).exists():
            raise InvalidInputError(f"model {news['name']}: there is nothing at {path}")
        if known(path) and "run_id" in news and (".." in Path(path).parts or Path(path).is_absolute()):
            raise InvalidInputError(f"model {news['name']}: path {path!r} must lead into the run, like outputs/model")
        if known(path) and known(news.get("run_id")) and known(news["workspace"]):
            _check_path(news)
        return news

    def known_outputs(self, inputs: Properties) -> Properties:
        """Digest and files of a folder of one's own; what a run leaves shows when it has run."""
        if "run_id" in inputs or not known(inputs["path"]):
            return {}
        files = source.remembered_digests(absolute(inputs["path"]))
        digest = digests.of_tree(files)
        # The contents are what is compared: preview sees other bytes at the same path.
        return {"contents": digest, "digest": digest, "files": listed(files)}

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Compare, and say which files of one's own have changed."""
        if olds.get("contents") and news.get("contents") and olds["contents"] != news["contents"]:
            lines = compare_mappings(olds.get("files"), news.get("files"), "{name}", values=False)
            log_of(news).info(f"new version: {abbreviated(lines, separator='; ') or 'its files changed'}")
        return super().compare(olds, news)

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Restore what drifted, register the files and move aliases; unchanged files make no new version."""
        workspace = workspace_of(inputs)
        self.restore_drift(workspace, olds)
        request = parsed(ModelInputs, _with_sample(inputs), f"model {inputs['name']}")
        files = Path(request.path) if request.run_id else absolute(request.path)
        if request.run_id and request.require:
            gate.check(workspace, request.name, request.run_id, gate.parse(request.require))
        log = log_of(inputs)
        spec = request.spec
        if spec.framework_version is None and request.run_id:
            version = source.framework_version(workspace, spec.framework, request.run_id)
            spec = spec.model_copy(update={"framework_version": version})
        record = model.register(workspace, spec, files, request.run_id, log.progress)
        log.info(f"version {record.version}, {record.digest[:12]}")
        versions = alias_versions(inputs, record.version)
        aliases.move(workspace, request.name, versions, (olds or {}).get("alias"))
        return {**inputs, **ModelOutputs.of(record, versions).model_dump()}


def alias_versions(inputs: Properties, version: int) -> dict[str, int]:
    """The aliases of a model's resource, each with the number of its version."""
    requested = aliases.validated(inputs.get("alias") or {})
    return {alias: version if number == aliases.LATEST else int(number) for alias, number in requested.items()}


def _moved_aliases(workspace: Workspace, properties: Properties) -> list[str]:
    """A sentence for each alias that somebody else moved or removed, in the workspace or on the tracking server."""
    current = aliases.read(workspace, properties["name"])
    expected = alias_versions(properties, int(properties["version"]))
    moved = [
        f"alias {alias} is {f'version {current[alias]}' if alias in current else 'gone'}, not version {version}"
        for alias, version in expected.items()
        if current.get(alias) != version
    ]
    kept = {alias: version for alias, version in expected.items() if current.get(alias) == version}
    return [*moved, *shown_aliases.moved(workspace, properties["name"], kept)]


def _check_path(news: Properties) -> None:
    """Refuse in preview a path at which a finished run left nothing: it takes another path, and no training."""
    if not news.get("run_id"):
        return
    try:
        workspace = workspace_of(news)
    except WorkspaceNotFoundError:
        return
    try:
        source.check_left(workspace, str(news["run_id"]), str(news["path"]))
    except NotFoundError as exc:
        raise InvalidInputError(f"model {news['name']}: {exc}", field="path") from exc


def _check_gate(news: Properties) -> None:
    """Refuse in preview what can be known then: conditions that cannot be read, and a finished run that fails them."""
    require: dict[str, str] = news.get("require") or {}
    if not require or not known(require):
        return
    conditions = gate.parse(require)
    if "run_id" not in news:
        raise InvalidInputError(f"model {news['name']}: require needs the metrics of a run: give `run`")
    if known(news["run_id"]) and known(news["workspace"]):
        try:
            gate.check(workspace_of(news), str(news["name"]), str(news["run_id"]), conditions)
        except (NotFoundError, WorkspaceNotFoundError):
            return
        except GateError as exc:
            raise InvalidInputError(str(exc)) from exc


def _with_sample(inputs: Properties) -> Properties:
    """The inputs with the sample input as JSON, which the program passes as text."""
    sample: Any = inputs.get("sample_input")
    return {**inputs, "sample_input": json.loads(sample)} if isinstance(sample, str) and known(sample) else inputs
