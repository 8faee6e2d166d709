"""`trainstack gc`: remove files that nothing refers to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import format, output
from trainstack.cli.options import JsonOption, WorkspaceOption, open_to_remove

if TYPE_CHECKING:
    from trainstack.core.maintenance.gc import Garbage

_MEANING = {
    "blob": "no dataset, model or run refers to it",
    "partial": "download or copy abandoned a week ago",
    "aside": "half-written record",
    "trash": "rest of an interrupted removal",
    "orphan": "container, network or volume of a run that is over",
    "environment": "unused training environment of this machine",
    "image": "unused environment's image on a Docker engine",
    "build": "log of an image's build",
}


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this option it is only listed.")] = False,
    environments: Annotated[
        float | None,
        typer.Option(
            "--environments", min=1, metavar="DAYS", help="Also environments and their images unused for so many days."
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the disk space that could be reclaimed, or reclaim it.

    Waits for registrations and submissions in progress; new ones wait until it has finished.
    """
    from trainstack.core.maintenance import gc as collection
    from trainstack.core.maintenance import orphans
    from trainstack.core.maintenance import unused_environments as environment_collection
    from trainstack.core.maintenance import unused_images as image_collection

    opened = open_to_remove(workspace)
    garbage = collection.collect(opened, output.note) if delete else collection.find(opened)
    garbage += (orphans.collect if delete else orphans.find)(opened, output.note)
    if environments is not None:
        act = environment_collection.collect if delete else environment_collection.find
        garbage += act(opened, environments)
        take = image_collection.collect if delete else image_collection.find
        garbage += take(opened, environments, output.note)
    size = sum(item.size for item in garbage)
    if as_json:
        items = [{"kind": item.kind, "path": str(item.path), "bytes": item.size} for item in garbage]
        output.emit_json({"deleted": delete, "bytes": size, "items": items})
        return
    if garbage:
        output.table(("kind", "count", "bytes", "what"), _rows(garbage))
    if delete:
        output.say(f"reclaimed {format.size(size)} ({size:,} bytes)")
    elif garbage:
        output.say(f"would reclaim {format.size(size)} ({size:,} bytes): run it again with --delete")
    else:
        output.say(f"nothing to reclaim in workspace {opened.name}")


def _rows(garbage: list[Garbage]) -> list[tuple[str, int, str, str]]:
    kinds: dict[str, list[Garbage]] = defaultdict(list)
    for item in garbage:
        kinds[item.kind].append(item)
    return [
        (kind, len(items), f"{sum(item.size for item in items):,}", _MEANING[kind]) for kind, items in kinds.items()
    ]
