"""The record that says that a folder or a store has a workspace, and how much it may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainstack.core.workspace.layout import LAYOUT, MARKER
from trainstack.errors import TrainstackError


@dataclass(frozen=True)
class Marker:
    """What the record says.

    Attributes:
        name: The workspace's name.
        quota: How many bytes it may hold; None for no limit.
    """

    name: str
    quota: int | None = None

    @classmethod
    def parsed(cls, document: Any, place: object) -> Marker:
        """Return what a record says.

        Args:
            document: The record's JSON.
            place: The folder or the store's address, for the message.

        Raises:
            TrainstackError: It was made by a newer Trainstack, or is damaged.
        """
        try:
            layout, name, quota = document["layout"], str(document["name"]), document.get("quota")
        except (KeyError, TypeError) as exc:
            raise TrainstackError(f"{place}/{MARKER} says neither layout nor name: restore it") from exc
        if layout != LAYOUT:
            raise TrainstackError(f"{place} has layout {layout}, this Trainstack knows {LAYOUT}: upgrade it")
        return cls(name, quota)

    @property
    def document(self) -> dict[str, Any]:
        """The record as JSON."""
        limit = {} if self.quota is None else {"quota": self.quota}
        return {"layout": LAYOUT, "name": self.name, **limit}
