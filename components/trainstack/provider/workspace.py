"""Workspaces: made when missing, kept on delete."""

from __future__ import annotations

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.lifecycle import workspace_config
from trainstack.lifecycle.project import project_root
from trainstack.lifecycle.workspace import Workspace, checked_name
from trainstack.provider.base import LifecycleProvider, Properties, absolute, gone_or, known, own


class WorkspaceProvider(LifecycleProvider):
    """A workspace's folder."""

    identity = ("name", "root")

    def accept(self, news: Properties) -> Properties:
        """Check the name."""
        if known(news["name"]):
            checked_name(news["name"], "workspace")
        return news

    def create(self, props: Properties) -> CreateResult:
        """Find or make the folder, and leave `config.json` where the command line looks for it."""
        inputs = own(props)
        workspace = Workspace.create(absolute(inputs["root"]), inputs["name"])
        workspace_config.write(project_root(), workspace)
        return CreateResult(inputs["name"], inputs)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Nothing but the name and the root is kept."""
        return UpdateResult(own(_news))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Find out whether the folder is still a workspace."""

        def found() -> Properties:
            Workspace.open(absolute(props["root"]))
            return own(props)

        return gone_or(found, id_)
