"""What an MLflow client writes to its file store besides runs: inputs, logged and registered models, traces.

The layout is MLflow's own, below a rank's folder: `EXPERIMENT/datasets/ID`, `EXPERIMENT/RUN/inputs/ID`,
`EXPERIMENT/models/ID`, `EXPERIMENT/traces/ID` and `models/NAME/version-N`. Clients replace their documents whole.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from trainstack.mlflow import plain_files
from trainstack.mlflow.metric_files import LoggedRun, texts

_META = "meta.yaml"
# The numbers of MLflow's protocol buffers.
_MODEL_STATUS = {2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}


@dataclass(frozen=True)
class LoggedModel:
    """A model as `log_model` of MLflow 3 keeps it, apart from its run's artifacts.

    Attributes:
        folder: Its folder in the store.
    """

    folder: Path

    @property
    def id(self) -> str:
        """The id that the client chose."""
        return self.folder.name

    @property
    def params(self) -> dict[str, str]:
        """Its parameters."""
        return texts(self.folder / "params")

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return texts(self.folder / "tags")

    @property
    def artifacts(self) -> Path:
        """Its files."""
        return self.folder / "artifacts"

    @cached_property
    def about(self) -> dict[str, Any]:
        """Its name, type and run; empty while they are being written."""
        return _document(self.folder / _META)

    @property
    def status(self) -> str:
        """Its status as MLflow calls it; empty before its files are complete."""
        return _MODEL_STATUS.get(self.about.get("status", 0), "")

    @property
    def deleted(self) -> bool:
        """Whether the script deleted it."""
        return self.about.get("lifecycle_stage") == "deleted"


def logged_models(tracking: Path) -> list[LoggedModel]:
    """Return the models that scripts logged, oldest first.

    Args:
        tracking: The run's tracking folder.
    """
    models = [LoggedModel(path.parent) for path in plain_files.matching(tracking, f"rank-*/*/models/m-*/{_META}")]
    return sorted(models, key=lambda model: (model.about.get("creation_timestamp", 0), model.id))


def dataset_inputs(run: LoggedRun) -> dict[str, dict[str, Any]]:
    """Return the datasets that a script gave as inputs of a run, by their ids, as MLflow's API takes them."""
    inputs: dict[str, dict[str, Any]] = {}
    datasets = {path.parent.name: path for path in plain_files.matching(run.folder.parent, f"datasets/*/{_META}")}
    for path in sorted(plain_files.matching(run.folder, f"inputs/*/{_META}")):
        document = _document(path)
        source = datasets.get(str(document.get("source_id")))
        dataset = _document(source) if source else {}
        if document.get("source_type") == "DATASET" and dataset:
            tags = [{"key": key, "value": value} for key, value in document["tags"].items()]
            fields = {name: value for name, value in dataset.items() if value is not None}
            inputs[path.parent.name] = {"tags": tags, "dataset": fields}
    return inputs


def model_inputs(run: LoggedRun) -> list[str]:
    """Return the ids of the logged models that a run took."""
    documents = [_document(path) for path in sorted(plain_files.matching(run.folder, f"inputs/*/{_META}"))]
    return [str(document["source_id"]) for document in documents if document.get("source_type") == "MODEL"]


def model_outputs(run: LoggedRun) -> dict[str, int]:
    """Return the ids of the logged models that a run made, with the step of each."""
    documents = {
        path.parent.name: _document(path) for path in sorted(plain_files.matching(run.folder, f"outputs/m-*/{_META}"))
    }
    return {model: int(document["step"]) for model, document in documents.items() if "step" in document}


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        number: Its number in the script's own registry.
        about: Its description, source, run and stage.
        tags: Its tags.
    """

    number: int
    about: dict[str, Any]
    tags: dict[str, str]

    @property
    def deleted(self) -> bool:
        """Whether the script deleted it."""
        return self.about.get("current_stage") == "Deleted_Internal"


@dataclass(frozen=True)
class RegisteredModel:
    """A model in a script's own registry.

    Attributes:
        folder: Its folder in the store.
        name: Its name.
        description: What the script says of it.
    """

    folder: Path
    name: str
    description: str

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return texts(self.folder / "tags")

    @property
    def aliases(self) -> dict[str, int]:
        """Its aliases, with the number of each one's version."""
        return {alias: int(text) for alias, text in texts(self.folder / "aliases").items() if text.isdecimal()}

    @property
    def versions(self) -> list[ModelVersion]:
        """Its versions, oldest first."""
        folders = [path.parent for path in plain_files.matching(self.folder, f"version-*/{_META}")]
        versions = [
            ModelVersion(int(folder.name.removeprefix("version-")), document, texts(folder / "tags"))
            for folder in folders
            if (document := _document(folder / _META))
        ]
        return sorted(versions, key=lambda version: version.number)


def registered_models(tracking: Path) -> list[RegisteredModel]:
    """Return the models that scripts registered.

    Args:
        tracking: The run's tracking folder.
    """
    models: list[RegisteredModel] = []
    for path in sorted(plain_files.matching(tracking, f"rank-*/models/*/{_META}")):
        if document := _document(path):
            models.append(RegisteredModel(path.parent, str(document["name"]), document.get("description") or ""))
    return models


@dataclass(frozen=True)
class Trace:
    """A trace of a script's calls.

    Attributes:
        folder: Its folder in the store.
    """

    folder: Path

    @property
    def id(self) -> str:
        """Its id, which MLflow's server keeps."""
        return self.folder.name

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return texts(self.folder / "tags")

    @property
    def metadata(self) -> dict[str, str]:
        """What does not change of it."""
        return texts(self.folder / "request_metadata")

    @property
    def about(self) -> dict[str, Any]:
        """Its times and state; empty while they are being written."""
        return _document(self.folder / "trace_info.yaml")

    @property
    def data(self) -> Path | None:
        """The file with its spans; None before it is written."""
        return next(plain_files.matching(self.folder, "artifacts/traces.json"), None)

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Its spans; none while they are being written."""
        data = self.data
        if data is not None:
            with contextlib.suppress(OSError, ValueError):
                spans: list[dict[str, Any]] = json.loads(plain_files.read_bytes(data))["spans"]
                return spans
        return []


def traces(tracking: Path) -> list[Trace]:
    """Return the traces of scripts.

    Args:
        tracking: The run's tracking folder.
    """
    return [Trace(path.parent) for path in sorted(plain_files.matching(tracking, "rank-*/*/traces/*/trace_info.yaml"))]


def _document(path: Path) -> dict[str, Any]:
    import yaml

    with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
        document: Any = yaml.safe_load(plain_files.read_bytes(path))
        if isinstance(document, dict):
            return cast("dict[str, Any]", document)
    return {}
