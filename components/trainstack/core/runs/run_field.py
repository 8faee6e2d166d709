"""How a field of a run is described: the entries of the table in `trainstack.core.runs.fields`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from trainstack.core.properties import marked_fields
from trainstack.core.runs import change_lines
from trainstack.core.runs.change_lines import Lines

ROW, JSON_ALONE = "row", "json alone"
"""Where `trainstack runs show` has a field: a row of the first table, or in `--json` alone."""


@dataclass(frozen=True, kw_only=True)
class RunField:
    """How a field of a run is treated.

    Attributes:
        label: What people call it.
        note: How it counts; of a setting, what it is.
        arguments: The arguments of `TrainingRunArgs` that it comes from; the one of its own name when left out.
        read: Takes what matters out of the resource's property.
        compared: Takes what the reason line compares out of it; the same as `read` when left out.
        lines: The words of the reason line for two values.
        within: The mapping whose entries it tells more of: only of those that are there before and after.
        canonical: Takes a `RunSpec` and gives the form in the fingerprint; the value itself when left out.
        key: Its key in reports; its own name when left out.
        show: Where `trainstack runs show` has it: a row of the first table, in `--json` alone, or the section of this
            title.
    """

    label: str
    note: str
    arguments: tuple[str, ...] = ()
    read: Callable[[Any], Any] | None = None
    compared: Callable[[Any], Any] | None = None
    lines: Lines = change_lines.scalar
    within: str = ""
    canonical: Callable[[Any], object] | None = None
    key: str = ""
    show: str = ROW


def run_fields(model: type[BaseModel]) -> dict[str, RunField]:
    """The fields of a model that describe a run, by name, in the order of their declaration."""
    return marked_fields(model, RunField)
