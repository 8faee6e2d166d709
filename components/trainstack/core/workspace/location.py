"""Where a stack's workspace is: the stack's state goes from machine to machine, a workspace's folder stays."""

from __future__ import annotations

import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import WorkspaceNotFoundError


@dataclass(frozen=True)
class WorkspaceLocation:
    """Which workspace a stack uses, and where it was when the stack last changed it.

    Attributes:
        workspace_id: Tells it from another workspace at the same path.
        machine: Host name of the machine. Containers and runners change theirs, so that it is there to be read only.
        folder: Its folder on that machine, absolute.
    """

    workspace_id: str
    machine: str
    folder: str

    @classmethod
    def of(cls, workspace: Workspace) -> WorkspaceLocation:
        """The location of a workspace that is here."""
        return cls(workspace.id, socket.gethostname(), str(workspace.root))

    def open(self, root: Path, name: str) -> Workspace:
        """Open the workspace where the program looks for it.

        Args:
            root: The folder, absolute.
            name: The workspace's name.

        Raises:
            WorkspaceNotFoundError: It is not there, or another one is; says who has it and what to do.
        """
        try:
            workspace = Workspace.open(root)
        except WorkspaceNotFoundError as exc:
            anew = f"`trainstack workspace create {shlex.quote(str(root))} --name {name} --id {self.workspace_id}`"
            raise WorkspaceNotFoundError(
                f"{self._absence(root, name)}; lost for good, it begins anew, empty: {anew}, then `pulumi refresh`"
            ) from exc
        if workspace.id != self.workspace_id:
            raise WorkspaceNotFoundError(
                f"{root} is not the workspace {name!r} that this stack uses, but another one: "
                f"{self.machine} has the stack's in {self.folder}; set root= to a folder of its own, or run there"
            )
        return workspace

    def _absence(self, root: Path, name: str) -> str:
        if self.machine != socket.gethostname():
            return (
                f"workspace {name!r} is not here: {self.machine} has it in {self.folder}; "
                "run there, set root= to a shared disk, or `trainstack workspace push ADDRESS` there and "
                f"`trainstack workspace pull ADDRESS --workspace {shlex.quote(str(root))}` here"
            )
        if self._has_it(Path(self.folder)):
            return (
                f"workspace {name!r} is not in {root}: this machine, {self.machine}, has it in {self.folder}; "
                "set root= to that folder"
            )
        return (
            f"workspace {name!r} is gone from {self.folder} on {self.machine}, this machine: "
            "mount its disk or bring it back"
        )

    def _has_it(self, folder: Path) -> bool:
        try:
            return Workspace.open(folder).id == self.workspace_id
        except WorkspaceNotFoundError:
            return False
