"""Workspaces: created when missing, looked for after, kept on delete, which ends their tracking server."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

from pulumi.dynamic import DiffResult, ReadResult
from pydantic import BaseModel, ConfigDict

from trainstack.core.properties import ResourceField
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.settings import ClusterServer, read_settings
from trainstack.core.workspace.location import WorkspaceLocation
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError, WorkspaceNotFoundError
from trainstack.mlflow.rest_client import checked_address
from trainstack.provider.base import BaseProvider, Properties, absolute, changed, known, log_of, opened, own, parsed
from trainstack.storage.object_store.address import address_in, checked_form


class WorkspaceInputs(BaseModel):
    """The inputs of a workspace's resource.

    Attributes:
        name: Its name.
        root: Its folder, relative to the project when inside it.
        quota_gib: How much it may hold, in GiB; no limit when left out.
        tracking_uri: The address of a tracking server of one's own.
        tracking: The tracking server that runs on a cluster: its `url` behind an Ingress, and how to reach it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, ResourceField(change="replace")]
    root: Annotated[str, ResourceField(change="replace")]
    quota_gib: float | None = None
    tracking_uri: str | None = None
    tracking: dict[str, Any] | None = None


class WorkspaceProvider(BaseProvider, inputs=WorkspaceInputs):
    """A workspace's folder."""

    def accept(self, news: Properties) -> Properties:
        """Check name, folder, quota and address."""
        if known(news["name"]):
            checked_name(news["name"], "workspace")
        if known(news["root"]):
            _check_root(str(news["root"]), news["name"])
        quota = news.get("quota_gib")
        if quota is not None and known(quota) and not (isinstance(quota, int | float) and quota > 0):
            raise InvalidInputError(f"quota_gib must be a number over 0, not {quota!r}", field="quota_gib")
        uri = news.get("tracking_uri")
        if uri is not None and known(uri):
            checked_address(str(uri))
        return news

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Compare, and look for the workspace: with no folder here, nothing that preview says of it would be true.

        Raises:
            WorkspaceNotFoundError: It is not where the program looks for it.
        """
        if not changed(self.identity, olds, news):
            _opened(olds)
        return super().compare(olds, news)

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Find or create the folder, set its quota, and declare where its history is kept.

        A new resource also leaves `config.json` where the command line looks for it.
        """
        from trainstack.core.replication import shared  # preview needs neither
        from trainstack.core.workspace import config

        request = parsed(WorkspaceInputs, inputs, "workspace")
        workspace = opened(request.root) if olds is not None else _created(request)
        # A new stack that sets no quota leaves alone what another stack has set.
        if olds is not None or request.quota_gib is not None:
            workspace = shared.limited(workspace, None if request.quota_gib is None else _in_bytes(request.quota_gib))
        if olds is None:
            config.write(project_root(), workspace)
        address = _declare_tracking(workspace, request)
        return {**inputs, "tracking_address": address, **asdict(WorkspaceLocation.of(workspace)), "drift": []}

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Look for the workspace.

        Raises:
            WorkspaceNotFoundError: It is not where the program looks for it, which does not read as deleted.
        """
        properties = own(props)
        workspace = _opened(properties)
        address = read_settings(workspace).address
        return ReadResult(id_, {**properties, "tracking_address": address, "drift": _drift(workspace, properties)})

    def delete(self, _id: str, _props: Properties) -> None:
        """End the tracking server; the folder stays."""
        properties = own(_props)
        try:
            workspace = _opened(properties)
        except WorkspaceNotFoundError as exc:
            log_of(properties).warn(f"its tracking server is not stopped: {exc}")
        else:
            tracking_server.stop(workspace)


def _opened(properties: Properties) -> Workspace:
    """Open the workspace of a resource's state.

    Raises:
        WorkspaceNotFoundError: It is not where the program looks for it; says where it is, and how to begin anew.
    """
    location = WorkspaceLocation(**{field.name: properties[field.name] for field in fields(WorkspaceLocation)})
    if address_in(Path(properties["root"])):
        opened(properties["root"])
    return location.open(absolute(properties["root"]), properties["name"])


def _created(request: WorkspaceInputs) -> Workspace:
    if not address_in(Path(request.root)):
        return Workspace.create(absolute(request.root), request.name)
    from trainstack.core.replication import shared

    return shared.created(Path(request.root), request.name)


def _check_root(root: str, name: str) -> None:
    if address := address_in(Path(root)):
        checked_form(address, "root")
    with contextlib.suppress(WorkspaceNotFoundError):
        workspace = opened(root)
        if known(name):
            workspace.require_name(name)


def _drift(workspace: Workspace, properties: Properties) -> list[str]:
    """What a workspace that was begun anew lacks: its quota, and where its history is kept."""
    drift: list[str] = []
    quota = properties.get("quota_gib")
    if quota is not None and workspace.quota != _in_bytes(quota):
        drift.append(f"its quota is {'gone' if workspace.quota is None else f'{workspace.quota:,} bytes'}")
    if (properties.get("tracking_uri") or properties.get("tracking")) and read_settings(workspace).embedded:
        drift.append("its history is kept on this machine")
    return drift


def _in_bytes(gib: float) -> int:
    return int(gib * 2**30)


def _declare_tracking(workspace: Workspace, request: WorkspaceInputs) -> str:
    """Declare where the workspace's history is kept, and return the server's address."""
    tracking = request.tracking or {}
    # Behind an Ingress a server on a cluster is reached as any server with an address is.
    uri = request.tracking_uri or tracking.get("url")
    server = ClusterServer(**tracking["server"]) if tracking and not uri else None
    return tracking_server.declare(workspace, uri, server).address
