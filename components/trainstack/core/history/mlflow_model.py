"""A registered model on an MLflow server: versions with their numbers, aliases, files, signature and lineage.

The files have the form that `mlflow.pyfunc.load_model` takes: an `MLmodel` document beside the SavedModel,
which MLflow's own TensorFlow flavor loads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from trainstack.core.history.mlflow_run import RUN_TAG
from trainstack.core.history.script_models import set_aside
from trainstack.core.models import aliases, model
from trainstack.core.models.model_record import ModelRecord
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrackingError
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.server.codec.signature import DEFAULT, Signature, TensorSpec
from trainstack.server.runtime.declared import signatures
from trainstack.storage.atomic import write_json

_MLFLOW = "3.17.2"
"""The version whose format of `MLmodel` is written."""


class MlflowModels:
    """The models of a workspace on a server."""

    def __init__(self, workspace: Workspace, server: TrackingServer, experiment: str, artifacts: Path | None) -> None:
        self._workspace = workspace
        self._server = server
        self._experiment = experiment
        self._artifacts = artifacts

    def sync(self, name: str, request_run: Callable[[str], None]) -> bool:
        """Mirror what is new of a model.

        Args:
            name: The model's name.
            request_run: Called with the id of a run that has to be mirrored first.

        Returns:
            Whether the model is complete.

        Raises:
            TrackingError: The server does not answer.
        """
        server = self._server
        self._ensure(name)
        records = {record.version: record for record in model.list_models(self._workspace) if record.name == name}
        numbers = self._version_numbers(name)
        for version in range(1, max([*records, 0]) + 1):
            new = version > max(numbers, default=0)
            if new and not self._register(name, version, records.get(version), request_run):
                return False
        for version in numbers - records.keys():
            if self._exists(name, version):
                server.call("DELETE", "model-versions/delete", name=name, version=str(version))
        if records:
            newest = records[max(records)]
            server.call("PATCH", "registered-models/update", name=name, description=newest.description)
        self._sync_aliases(name)
        return True

    def _ensure(self, name: str) -> None:
        """Make the registered model; one that scripts made goes aside."""
        set_aside(self._server, name)
        if self._server.get_or_none("registered-models/get", name=name) is None:
            self._server.post("registered-models/create", name=name)

    def _version_numbers(self, name: str) -> set[int]:
        """Return the numbers that the server has assigned, also those of removed versions."""
        response = self._server.get("model-versions/search", filter=f"name = '{name}'", max_results=10_000)
        return {int(version["version"]) for version in response.get("model_versions", [])}

    def _exists(self, name: str, version: int) -> bool:
        return self._server.get_or_none("model-versions/get", name=name, version=str(version)) is not None

    def _register(
        self, name: str, version: int, record: ModelRecord | None, request_run: Callable[[str], None]
    ) -> bool:
        """Make a version; a purged one is made and removed, so that the next version has its own number."""
        server = self._server
        run = self._run_of(name, version, record, request_run)
        if run is None:
            return False
        at = f"models/{name}/{version}"
        base = str(server.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"])
        tags = []
        if record is not None:
            self._put_files(record, run, at, base)
            about = {**record.tags, "trainstack.digest": record.digest, "trainstack.framework": record.framework}
            tags = [{"key": key, "value": value} for key, value in about.items()]
        response = server.post(
            "model-versions/create",
            name=name,
            source=f"{base}/{at}",
            run_id=run,
            tags=tags,
            description=record.description if record else "purged",
        )
        number = str(response["model_version"]["version"])
        if record is None or int(number) != version:
            server.call("DELETE", "model-versions/delete", name=name, version=number)
        if int(number) != version:
            raise TrackingError(f"the server has versions of its own under this name, and gave {number}", "CONFLICT")
        return True

    def _run_of(
        self, name: str, version: int, record: ModelRecord | None, request_run: Callable[[str], None]
    ) -> str | None:
        """Return the server's run that produced a version; a model without a run gets a run of its own."""
        if record is not None and record.run_id is not None and self._workspace.run(record.run_id).is_dir():
            run = self._server.find_run(self._experiment, RUN_TAG, record.run_id)
            if run is None:
                request_run(record.run_id)
            return run
        value = f"{name}/{version}"
        run = self._server.find_run(self._experiment, "trainstack.model", value)
        if run is None:
            started = datetime.fromisoformat(record.created).timestamp() if record else 0.0
            run = self._server.create_run(self._experiment, f"model {name}", started, {"trainstack.model": value})
            self._server.set_status(run, "FINISHED", started)
        return run

    def _put_files(self, record: ModelRecord, run: str, at: str, base: str) -> None:
        """Make the files available to the server: by hard link on this machine, else by upload."""
        documents = _documents(record, run, at)
        files = {f"data/{name}": Path(record.path) / name for name in record.files}
        if self._artifacts is None:
            model.lay_out(self._workspace, record)
            for name, document in documents.items():
                self._server.upload(base, f"{at}/{name}", json.dumps(document).encode())
            for name, path in files.items():
                self._server.upload(base, f"{at}/{name}", path.read_bytes())
            return
        folder = self._artifacts / self._experiment / run / "artifacts" / at
        for name, path in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            # A machine's copy of a workspace in a store has only the models that something here has used.
            if path.is_file():
                os.link(path, target)
        for name, document in documents.items():
            write_json(folder / name, document)

    def _sync_aliases(self, name: str) -> None:
        entries = self._server.get("registered-models/get", name=name)["registered_model"].get("aliases", [])
        theirs = {entry["alias"]: int(entry["version"]) for entry in entries}
        ours = aliases.read(self._workspace, name)
        for alias in theirs.keys() - ours.keys():
            self._server.call("DELETE", "registered-models/alias", name=name, alias=alias)
        for alias, version in ours.items():
            if theirs.get(alias) != version:
                self._server.post("registered-models/alias", name=name, alias=alias, version=str(version))


def _documents(record: ModelRecord, run: str, at: str) -> dict[str, Any]:
    """Return the documents beside the files: how MLflow loads them (JSON is YAML), and an example input."""
    declared = signatures(Path(record.path))
    about: dict[str, Any] = {
        "artifact_path": at,
        "run_id": run,
        "model_uuid": record.digest[:32],
        "mlflow_version": _MLFLOW,
        "utc_time_created": datetime.fromisoformat(record.created).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "flavors": {},
    }
    if (Path(record.path) / "saved_model.pb").is_file():
        key = DEFAULT if DEFAULT in declared else min(declared, default=DEFAULT)
        about["flavors"] = {
            "python_function": {"loader_module": "mlflow.tensorflow", "python_version": "3.11"},
            "tensorflow": {
                "code": None,
                "saved_model_dir": "data",
                "meta_graph_tags": ["serve"],
                "signature_def_key": key,
                "model_type": "tf1-estimator",
            },
        }
        if key in declared:
            about["signature"] = _signature(declared[key])
    documents: dict[str, Any] = {"MLmodel": about}
    if record.sample_input is not None:
        documents["input_example.json"] = record.sample_input
        about["saved_input_example_info"] = {"artifact_path": "input_example.json", "type": "json_object"}
    return documents


def _signature(declared: Signature) -> dict[str, str]:
    return {
        side: json.dumps([_tensor(name, spec) for name, spec in specs.items()])
        for side, specs in (("inputs", declared.inputs), ("outputs", declared.outputs))
    }


def _tensor(name: str, spec: TensorSpec) -> dict[str, Any]:
    shape = list(spec.shape) if spec.shape is not None else [-1]
    return {
        "type": "tensor",
        "name": name,
        "tensor-spec": {"dtype": spec.numpy.replace("object", "str"), "shape": shape},
    }
