"""Properties of resources: as Pulumi's engine passes them, and how a field of a resource is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import BaseModel

Mark = TypeVar("Mark")


@dataclass(frozen=True, kw_only=True)
class ResourceField:
    """How a field of a resource's inputs is treated, as an `Annotated` mark of its model.

    A field without a mark comes from the program, and another value updates the resource in place.

    Attributes:
        change: What another value does: it makes another resource, updates this one, or nothing.
        source: Who sets it: the program, or the provider's `check`, so that preview knows it.
    """

    change: Literal["replace", "update", "ignore"] = "update"
    source: Literal["program", "check"] = "program"


def marked_fields(model: type[BaseModel], kind: type[Mark]) -> dict[str, Mark]:
    """The fields of a model that carry a mark of a kind, in the order of their declaration."""
    return {name: mark for name, info in model.model_fields.items() for mark in info.metadata if isinstance(mark, kind)}


def resource_fields(model: type[BaseModel]) -> dict[str, ResourceField]:
    """How each field of a resource's inputs is treated, in the order of their declaration."""
    marked = marked_fields(model, ResourceField)
    return {name: marked.get(name, ResourceField()) for name in model.model_fields}


def integral(value: Any) -> Any:
    """Make whole numbers integers again: Pulumi passes every number as a float."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if (mapping := as_mapping(value)) is not None:
        return {name: integral(item) for name, item in mapping.items()}
    if (items := as_list(value)) is not None:
        return [integral(item) for item in items]
    return value


def as_mapping(value: object) -> dict[str, Any] | None:
    """A copy of a value that is a mapping, else None."""
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else None


def as_list(value: object) -> list[Any] | None:
    """A copy of a value that is a list or tuple, else None."""
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else None


def as_lines(value: object) -> list[str] | None:
    """A copy of a value that is a list or tuple of texts, else None."""
    items = as_list(value)
    return items if items is not None and all(isinstance(item, str) for item in items) else None


def exact(value: Any) -> Any:
    """A value whose digits survive the way to the provider, as text where they would not.

    Pulumi passes every number as a double, which has no room for all integers from 2**53 on.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return value if abs(value) < 2**53 else str(value)
