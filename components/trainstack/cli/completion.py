"""Names of a workspace for the shell's completion: runs, models, datasets. Whatever is wrong, there are none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from trainstack.core.workspace.workspace import Workspace

# A shell shows no more.
_MOST = 200


def run_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, newest first; ids where the start of one is typed."""

    def names(workspace: Workspace) -> Iterable[str]:
        from trainstack.core.runs import index

        records = index.newest(workspace)
        yield from (record.name for record in records)
        if incomplete:
            yield from (record.id for record in records)

    return _completed(context, incomplete, names)


def model_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of models, and `NAME:VERSION` once a name is typed."""

    def names(workspace: Workspace) -> Iterable[str]:
        from trainstack.core.models.model import list_models

        return _versions((record.name, record.version) for record in list_models(workspace))

    return _completed(context, incomplete, names)


def dataset_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of datasets, and `NAME:VERSION` once a name is typed."""

    def names(workspace: Workspace) -> Iterable[str]:
        from trainstack.core.datasets.dataset import list_datasets

        return _versions((record.name, record.version) for record in list_datasets(workspace))

    return _completed(context, incomplete, names)


def _versions(entries: Iterable[tuple[str, int]]) -> Iterable[str]:
    for name, version in entries:
        yield name
        yield f"{name}:{version}"


def _completed(context: typer.Context, incomplete: str, names: Callable[[Workspace], Iterable[str]]) -> list[str]:
    from trainstack.cli.options import open_at
    from trainstack.core.workspace import config
    from trainstack.storage.object_store.address import address_in

    # A message in the middle of a command line helps nobody.
    with contextlib.suppress(Exception):
        folder: Path = context.params.get("workspace") or config.find(Path.cwd())[0]
        # A key press waits for no object store.
        if not address_in(folder):
            fitting = dict.fromkeys(name for name in names(open_at(folder)) if name.startswith(incomplete))
            # Versions come once the name is there: `points` before `points:1`.
            short = [
                name for name in fitting if ":" not in name or ":" in incomplete or name.split(":")[0] == incomplete
            ]
            return short[:_MOST]
    return []
