"""`trainstack gc`: remove files that nothing refers to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import format, output
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from trainstack.core.workspace.workspace import Workspace
    from trainstack.storage.store import Store

_MEANING = {
    "blob": "no dataset, model or run refers to it",
    "partial": "download or copy abandoned a week ago",
    "aside": "half-written record",
    "trash": "rest of an interrupted removal",
    "orphan": "container, network or volume of a run that is over",
    "environment": "unused training environment of this machine",
    "image": "unused environment's image on a Docker engine",
    "build": "log of an image's build",
    "rest": "file of a run that has no record",
    "index": "part of the index of runs that does not count",
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
    from trainstack.core.workspace.origin import origin_of

    opened = open_workspace(workspace)
    if store := origin_of(opened.root):
        _gc_store(store, opened, delete=delete, as_json=as_json)
        return
    garbage = collection.collect(opened, output.note) if delete else collection.find(opened)
    garbage += (orphans.collect if delete else orphans.find)(opened, output.note)
    if environments is not None:
        act = environment_collection.collect if delete else environment_collection.find
        garbage += act(opened, environments)
        take = image_collection.collect if delete else image_collection.find
        garbage += take(opened, environments, output.note)
    _print([(item.kind, str(item.path), item.size) for item in garbage], opened.name, delete=delete, as_json=as_json)


def _gc_store(store: Store, workspace: Workspace, *, delete: bool, as_json: bool) -> None:
    from trainstack.core.maintenance import store_gc

    garbage = store_gc.collect(store, workspace.root, output.note) if delete else store_gc.find(store, workspace.root)
    _print([(item.kind, item.key, item.size) for item in garbage], workspace.name, delete=delete, as_json=as_json)


def _print(garbage: list[tuple[str, str, int]], name: str, *, delete: bool, as_json: bool) -> None:
    size = sum(each for _, _, each in garbage)
    if as_json:
        items = [{"kind": kind, "path": path, "bytes": each} for kind, path, each in garbage]
        output.emit_json({"deleted": delete, "bytes": size, "items": items})
        return
    if garbage:
        output.table(("kind", "count", "bytes", "what"), _rows(garbage))
    if delete:
        output.say(f"reclaimed {format.size(size)} ({size:,} bytes)")
    elif garbage:
        output.say(f"would reclaim {format.size(size)} ({size:,} bytes): run it again with --delete")
    else:
        output.say(f"nothing to reclaim in workspace {name}")


def _rows(garbage: list[tuple[str, str, int]]) -> list[tuple[str, int, str, str]]:
    sizes: dict[str, list[int]] = defaultdict(list)
    for kind, _, size in garbage:
        sizes[kind].append(size)
    return [(kind, len(each), f"{sum(each):,}", _MEANING[kind]) for kind, each in sizes.items()]
