"""Workspaces: made when missing, kept on delete, which ends their tracking server."""

from __future__ import annotations

import contextlib

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.tracking import tracking_server as history
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.mlflow.rest_client import checked_address
from trainstack.provider.base import BaseProvider, Properties, absolute, gone_or, known, own, workspace_of


class WorkspaceProvider(BaseProvider):
    """A workspace's folder."""

    identity = ("name", "root")
    content = ("quota_gib", "tracking_uri", "tracking")

    def accept(self, news: Properties) -> Properties:
        """Check the name."""
        if known(news["name"]):
            checked_name(news["name"], "workspace")
        quota = news.get("quota_gib")
        if quota is not None and known(quota) and not (isinstance(quota, int | float) and quota > 0):
            raise InvalidInputError(f"quota_gib must be a number over 0, not {quota!r}", field="quota_gib")
        uri = news.get("tracking_uri")
        if uri is not None and known(uri):
            checked_address(str(uri))
        return news

    def create(self, props: Properties) -> CreateResult:
        """Find or make the folder, and leave `config.json` where the command line looks for it."""
        from trainstack.core.workspace import config

        inputs = own(props)
        workspace = Workspace.create(absolute(inputs["root"]), inputs["name"])
        if inputs.get("quota_gib") is not None:
            # Without one of its own, a stack leaves alone what another has set.
            workspace = workspace.limited(_bytes(inputs))
        config.write(project_root(), workspace)
        return CreateResult(inputs["name"], _with_history(workspace, inputs))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Set the quota, or lift it; take the history elsewhere."""
        inputs = own(_news)
        workspace = workspace_of({"workspace": inputs["root"]}).limited(_bytes(inputs))
        return UpdateResult(_with_history(workspace, inputs))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Find out whether the folder is still a workspace."""

        def found() -> Properties:
            workspace = Workspace.open(absolute(props["root"]))
            return {**own(props), "tracking_address": history.settings(workspace).address}

        return gone_or(found, id_)

    def delete(self, _id: str, _props: Properties) -> None:
        """End the tracking server; everything that is kept stays."""
        with contextlib.suppress(NotFoundError):
            history.stop(Workspace.open(absolute(_props["root"])))


def _with_history(workspace: Workspace, inputs: Properties) -> Properties:
    place: Properties = inputs.get("tracking") or {}
    # Behind an Ingress it is reached as any server with an address is.
    uri = inputs.get("tracking_uri") or place.get("url")
    server = history.ClusterServer(**place["server"]) if place and not uri else None
    return {**inputs, "tracking_address": history.declare(workspace, uri, server).address}


def _bytes(inputs: Properties) -> int | None:
    quota = inputs.get("quota_gib")
    return None if quota is None else int(quota * 2**30)
