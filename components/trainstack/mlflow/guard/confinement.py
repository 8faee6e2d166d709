"""Keeps the artifacts that a server reads and writes for its clients in the server's own folder.

A client of MLflow names the location of an experiment's artifacts, and of a trace's, and the server opens it with the
rights of its own user. Here it opens its own folder only, through no link that leads out, and nothing over a network.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:

    class _LocalArtifactRepository:
        """As much of MLflow's repository of a folder as is used here."""

        artifact_dir: str

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def delete_artifacts(self, artifact_path: str | None = None) -> None: ...
        def download_trace_data(self) -> dict[str, Any]: ...

    class _TrackingStore:
        """As much of MLflow's store of runs as is used here."""

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def create_experiment(self, name: str, artifact_location: str | None = None, tags: Any = None) -> str: ...

else:
    _LocalArtifactRepository = importlib.import_module(
        "mlflow.store.artifact.local_artifact_repo"
    ).LocalArtifactRepository
    _TrackingStore = importlib.import_module("mlflow.store.tracking.sqlalchemy_store").SqlAlchemyStore

_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
# What leads to the server's own folder: as a path, through the server, and by the name of a run or model.
_SCHEMES = ("", "file", "mlflow-artifacts", "runs", "models")


class ConfinedArtifacts(_LocalArtifactRepository):
    """Artifacts in a folder, which lies in the server's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _require_own(Path(self.artifact_dir))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file or folder, which MLflow's own method also does behind a link."""
        _require_own(Path(self.artifact_dir, artifact_path or ""))
        super().delete_artifacts(artifact_path)

    def download_trace_data(self) -> dict[str, Any]:
        """Read a trace, whose file MLflow's own method follows where it is a link."""
        _require_own(Path(self.artifact_dir, "traces.json"))
        return super().download_trace_data()


class ConfinedTrackingStore(_TrackingStore):
    """Experiments whose artifacts lie in the server's own folder."""

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: Any = None) -> str:
        """Create an experiment, and refuse one whose clients would read and write elsewhere."""
        if artifact_location:
            parts = urlsplit(artifact_location)
            if parts.scheme not in ("", "file", "mlflow-artifacts") or parts.netloc:
                raise _outside(artifact_location)
            if parts.scheme != "mlflow-artifacts":
                paths = importlib.import_module("mlflow.utils.file_utils")
                _require_own(Path(paths.local_file_uri_to_path(artifact_location)))
        return super().create_experiment(name, artifact_location, tags)


def install() -> None:
    """Have MLflow's server use these classes from now on."""
    registry: Any = importlib.import_module("mlflow.store.artifact.artifact_repository_registry")
    repositories: dict[str, Any] = registry.get_registered_artifact_repositories()
    for scheme in set(repositories).difference(_SCHEMES):
        del repositories[scheme]
    repositories.update({"": ConfinedArtifacts, "file": ConfinedArtifacts})
    handlers: Any = importlib.import_module("mlflow.server.handlers")
    handlers._tracking_store_registry.register("sqlite", _make_store)


def _make_store(store_uri: str, artifact_uri: str) -> ConfinedTrackingStore:
    return ConfinedTrackingStore(store_uri, artifact_uri)


def _require_own(path: Path) -> None:
    paths: Any = importlib.import_module("mlflow.utils.file_utils")
    own = Path(paths.local_file_uri_to_path(os.environ[_DESTINATION])).resolve()
    if not path.resolve().is_relative_to(own):
        raise _outside(str(path))


def _outside(location: str) -> Exception:
    errors: Any = importlib.import_module("mlflow.exceptions")
    refusal: Exception = errors.MlflowException.invalid_parameter_value(
        f"{location} is outside of this server's artifacts: leave the location out, or name a server of your own by "
        "tracking_uri"
    )
    return refusal
