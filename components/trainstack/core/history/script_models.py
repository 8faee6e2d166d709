"""Models that a script registered by itself, in an MLflow server's registry.

Each run has a registry of its own, whose versions begin at 1; on the server they follow those of other runs. A name
that a Model of the workspace has is that Model's alone: what scripts register under it is beside it, as
`NAME (scripts)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainstack.core.history.client_ids import ClientIds
from trainstack.core.history.logged_runs import LOGGED_TAG, OURS
from trainstack.core.history.refusals import Refusals
from trainstack.core.runs.directory import RunDirectory
from trainstack.mlflow import logged_files
from trainstack.mlflow.logged_files import ModelVersion, RegisteredModel
from trainstack.mlflow.rest_client import TrackingServer

SCRIPTS_TAG = "trainstack.scripts"
"""Tag of a registered model that scripts made, and no Model of the workspace."""


def beside(name: str) -> str:
    """Return where scripts' versions are of a model whose name a Model of the workspace has."""
    return f"{name} (scripts)"


def set_aside(server: TrackingServer, name: str) -> None:
    """Rename a registered model that scripts made, for the workspace's Model of that name: its versions differ.

    Args:
        server: The server.
        name: The name of the Model.
    """
    response = server.get_or_none("registered-models/get", name=name)
    if response is None or all(tag["key"] != SCRIPTS_TAG for tag in response["registered_model"].get("tags", [])):
        return
    if server.get_or_none("registered-models/get", name=beside(name)) is None:
        server.post("registered-models/rename", name=name, new_name=beside(name))
    else:
        # Its runs have its versions, and tell them anew when they are rebuilt.
        server.call("DELETE", "registered-models/delete", name=name)


class ScriptModels:
    """Keeps a server's registry equal to the registries of a run's scripts."""

    def __init__(self, server: TrackingServer, directory: RunDirectory, ids: ClientIds) -> None:
        self._server, self._directory, self._ids = server, directory, ids
        self._models = directory.root.parents[1] / "models"
        self._sent: dict[str, Any] = {}
        self._numbers: dict[tuple[str, int], str] = {}
        self.refused = Refusals()

    def sync(self) -> None:
        """Mirror what is new.

        Raises:
            TrackingError: The server does not answer.
        """
        for model in logged_files.registered_models(self._directory.tracking):
            self.refused.attempt(f"registered model {model.name}", lambda model=model: self._sync(model))

    def _sync(self, model: RegisteredModel) -> None:
        name = model.name
        if (self._models / name).is_dir():
            name = beside(name)
            # Before the new name is there: what has it already would be deleted, with versions that only runs have.
            self._once(f"{name} aside", True, lambda: set_aside(self._server, model.name))
        self._once(f"{name}", True, lambda: self._ensure(name))
        post, patch = self._server.post, "PATCH"
        if model.description:
            self._once(
                f"{name} description",
                model.description,
                lambda: self._server.call(patch, "registered-models/update", name=name, description=model.description),
            )
        for key, value in _scripted(model.tags).items():
            self._once(
                f"{name} tag {key}",
                value,
                lambda key=key, value=value: post("registered-models/set-tag", name=name, key=key, value=value),
            )
        for version in model.versions:
            self._sync_version(name, version)
        for alias, number in model.aliases.items():
            if version := self._numbers.get((name, number)):
                self._once(
                    f"{name} alias {alias}",
                    version,
                    lambda alias=alias, version=version: post(
                        "registered-models/alias", name=name, alias=alias, version=version
                    ),
                )

    def _ensure(self, name: str) -> None:
        if self._server.get_or_none("registered-models/get", name=name) is None:
            tags = [{"key": SCRIPTS_TAG, "value": "yes"}]
            self._server.post("registered-models/create", name=name, tags=tags)

    def _sync_version(self, name: str, version: ModelVersion) -> None:
        key = (name, version.number)
        if key not in self._numbers:
            number = self._find(name, version)
            if number is None and not version.deleted:
                number = self._create(name, version)
            if number is None:
                return
            self._numbers[key] = number
        of = {"name": name, "version": self._numbers[key]}
        what = f"{name} {version.number}"
        if version.deleted:
            self._once(what, "deleted", lambda: self._server.call("DELETE", "model-versions/delete", **of))
            return
        description = version.about.get("description") or ""
        self._once(
            f"{what} description",
            description,
            lambda: self._server.call("PATCH", "model-versions/update", description=description, **of),
            unless="",
        )
        for tag, value in _scripted(version.tags).items():
            self._once(
                f"{what} tag {tag}",
                value,
                lambda tag=tag, value=value: self._server.post("model-versions/set-tag", key=tag, value=value, **of),
            )
        stage = version.about.get("current_stage") or "None"
        self._once(
            f"{what} stage",
            stage,
            lambda: self._server.post(
                "model-versions/transition-stage", stage=stage, archive_existing_versions=False, **of
            ),
            unless="None",
        )

    def _find(self, name: str, version: ModelVersion) -> str | None:
        value = f"{self._directory.id}/{version.number}"
        response = self._server.get("model-versions/search", filter=f"name = '{name}'", max_results=10_000)
        for known in response.get("model_versions", []):
            if {"key": LOGGED_TAG, "value": value} in known.get("tags", []):
                return str(known["version"])
        return None

    def _create(self, name: str, version: ModelVersion) -> str:
        about = version.about
        origin = {"run_link": about["run_link"]} if about.get("run_link") else {}
        if run := self._ids.runs.get(str(about.get("run_id"))):
            origin["run_id"] = run
        if model := self._ids.models.get(str(about.get("model_id"))):
            origin["model_id"] = model
        response = self._server.post(
            "model-versions/create",
            name=name,
            source=self._ids.translate(str(about.get("source"))),
            tags=[{"key": LOGGED_TAG, "value": f"{self._directory.id}/{version.number}"}],
            description=about.get("description") or "",
            **origin,
        )
        return str(response["model_version"]["version"])

    def _once(self, what: str, value: object, call: Callable[[], object], *, unless: object = None) -> None:
        """Call when a value is new; not when it is what a new entry has anyway."""
        if self._sent.get(what, unless) != value:
            call()
            self._sent[what] = value


def _scripted(tags: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if not name.startswith(OURS)}
