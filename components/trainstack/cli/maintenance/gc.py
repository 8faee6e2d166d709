"""`trainstack gc`: reclaim what nothing points to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import format, output
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from trainstack.core.maintenance.gc import Garbage

_MEANING = {
    "blob": "no dataset, model or run points to it",
    "partial": "download or copy given up a week ago",
    "aside": "half-written record",
    "trash": "rest of a killed removal",
    "stray": "container, network or volume of a run that is over",
    "environment": "unused training environment of this machine",
    "image": "unused environment's image on a Docker engine",
    "build": "log of an image's build",
}


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this it is only listed.")] = False,
    environments: Annotated[
        float | None,
        typer.Option(
            "--environments", min=1, metavar="DAYS", help="Also environments and their images unused for so many days."
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what could be reclaimed, or reclaim it.

    Registrations and submissions under way are waited for, and wait meanwhile.
    """
    from trainstack.core.maintenance import gc as collection
    from trainstack.core.maintenance import orphans
    from trainstack.core.maintenance import unused_environments as environment_collection
    from trainstack.core.maintenance import unused_images as image_collection

    opened = open_workspace(workspace)
    found = collection.collect(opened, output.note) if delete else collection.find(opened)
    found += (orphans.collect if delete else orphans.find)(opened, output.note)
    if environments is not None:
        act = environment_collection.collect if delete else environment_collection.find
        found += act(opened, environments)
        take = image_collection.collect if delete else image_collection.find
        found += take(opened, environments, output.note)
    size = sum(one.size for one in found)
    if as_json:
        items = [{"kind": one.kind, "path": str(one.path), "bytes": one.size} for one in found]
        output.emit_json({"deleted": delete, "bytes": size, "items": items})
        return
    if found:
        output.table(("kind", "count", "bytes", "what"), _rows(found))
    if delete:
        output.say(f"reclaimed {format.size(size)} ({size:,} bytes)")
    elif found:
        output.say(f"would reclaim {format.size(size)} ({size:,} bytes): run it again with --delete")
    else:
        output.say(f"nothing to reclaim in workspace {opened.name}")


def _rows(found: list[Garbage]) -> list[tuple[str, int, str, str]]:
    kinds: dict[str, list[Garbage]] = defaultdict(list)
    for one in found:
        kinds[one.kind].append(one)
    return [(kind, len(items), f"{sum(one.size for one in items):,}", _MEANING[kind]) for kind, items in kinds.items()]
