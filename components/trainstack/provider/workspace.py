"""Workspaces: created when missing, kept on delete, which ends their tracking server."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from trainstack.core.properties import ResourceField
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.settings import ClusterServer, read_settings
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.workspace import Workspace, checked_name, checked_root
from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.mlflow.rest_client import checked_address
from trainstack.provider.base import BaseProvider, Properties, absolute, known, parsed


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
            checked_root(absolute(news["root"]))
        quota = news.get("quota_gib")
        if quota is not None and known(quota) and not (isinstance(quota, int | float) and quota > 0):
            raise InvalidInputError(f"quota_gib must be a number over 0, not {quota!r}", field="quota_gib")
        uri = news.get("tracking_uri")
        if uri is not None and known(uri):
            checked_address(str(uri))
        return news

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Find or create the folder, set its quota, and declare where its history is kept.

        A new resource also leaves `config.json` where the command line looks for it.
        """
        from trainstack.core.workspace import config  # preview does not need it

        request = parsed(WorkspaceInputs, inputs, "workspace")
        root = absolute(request.root)
        workspace = Workspace.create(root, request.name) if olds is None else Workspace.open(root)
        # A new stack that sets no quota leaves alone what another stack has set.
        if olds is not None or request.quota_gib is not None:
            workspace = workspace.limited(None if request.quota_gib is None else int(request.quota_gib * 2**30))
        if olds is None:
            config.write(project_root(), workspace)
        return {**inputs, "tracking_address": _declare_tracking(workspace, request)}

    def refresh(self, properties: Properties) -> Properties:
        """Check that the folder is still a workspace."""
        workspace = Workspace.open(absolute(properties["root"]))
        return {"tracking_address": read_settings(workspace).address}

    def delete(self, _id: str, _props: Properties) -> None:
        """End the tracking server; the folder stays."""
        with contextlib.suppress(NotFoundError):
            tracking_server.stop(Workspace.open(absolute(_props["root"])))


def _declare_tracking(workspace: Workspace, request: WorkspaceInputs) -> str:
    """Declare where the workspace's history is kept, and return the server's address."""
    tracking = request.tracking or {}
    # Behind an Ingress a server on a cluster is reached as any server with an address is.
    uri = request.tracking_uri or tracking.get("url")
    server = ClusterServer(**tracking["server"]) if tracking and not uri else None
    return tracking_server.declare(workspace, uri, server).address
