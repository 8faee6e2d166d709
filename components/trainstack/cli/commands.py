"""The commands of the command line, each loaded when it is called: `trainstack runs list` imports nothing of `ui`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

# Name and place, in the order of the help: a group's Typer application, or one command's function.
_PLACES = {
    "runs": "runs.runs:app",
    "sweeps": "resources.sweeps:app",
    "datasets": "resources.datasets:app",
    "models": "resources.models:app",
    "environments": "resources.environments:app",
    "services": "resources.services:app",
    "computes": "resources.computes:app",
    "workspace": "workspace:app",
    "doctor": "doctor.doctor:doctor",
    "init": "init:init",
    "lock": "lock:lock",
    "plan": "preview.plan:plan",
    "compare": "preview.plan:compare",
    "graph": "preview.graph:graph",
    "gc": "maintenance.gc:gc",
    "fsck": "maintenance.fsck:fsck",
    "purge": "maintenance.purge:purge",
    "ui": "ui:ui",
    "down": "down:down",
    "tensorboard": "runs.run_metrics:tensorboard",
}


class Commands(Mapping[str, TyperCommand | TyperGroup]):
    """What the root group looks its commands up in."""

    def __getitem__(self, name: str) -> TyperCommand | TyperGroup:
        return _load(name, _PLACES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


@functools.cache
def _load(name: str, place: str) -> TyperCommand | TyperGroup:
    module, _, attribute = place.partition(":")
    found: Any = getattr(importlib.import_module(f"trainstack.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    alone.command(name)(found)
    return cast(TyperCommand, typer.main.get_command(alone))
