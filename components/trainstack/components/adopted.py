"""Something that a workspace has already, adopted instead of made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from trainstack.components.workspace import Workspace


@dataclass(frozen=True)
class Adopted:
    """Takes the place of a component's arguments: adopt what is there; preview fails when it is not.

    Attributes:
        workspace: The workspace that has it.
        version_or_id: Which one: a version, or a run's id; the newest when left out.
    """

    workspace: Workspace
    version_or_id: pulumi.Input[int] | pulumi.Input[str] | None = None

    def inputs(self, name: str) -> dict[str, Any]:
        """What the resource is given."""
        return {"workspace": self.workspace.root, "name": name, "version_or_id": self.version_or_id}


@dataclass(frozen=True)
class Promoted:
    """Takes the place of a model's arguments: take over what another stack made, byte for byte.

    Attributes:
        workspace: The workspace that gets it.
        summary: The other stack's `model.summary`.
        alias: Names for versions, as `ModelArgs` has them.
    """

    workspace: Workspace
    summary: pulumi.Input[Any]
    alias: Mapping[str, pulumi.Input[int | str]]

    def inputs(self, name: str) -> dict[str, Any]:
        """What the resource is given."""
        return {"workspace": self.workspace.root, "name": name, "promoted": self.summary, "alias": dict(self.alias)}
