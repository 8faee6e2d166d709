"""What a program declares, checked as it is written down: a wrong keyword or kind of value fails in one line.

Annotations are compared as the text that they are. To evaluate them would import what no program needs, and `preview`
would wait for it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import pulumi

T = TypeVar("T")
_ALSO = {"float": int | float, "str": os.PathLike}
_EXAMPLES = {"Mapping": "a mapping, {'NAME': value}", "Sequence": "a list, [value, …]"}


def checked(arguments: type[T]) -> type[T]:
    """Make a dataclass of keyword arguments refuse what it does not know, by name.

    A constructor of it raises `pulumi.RunError`, which Pulumi prints without the program's trace: for an unknown
    argument with the nearest one, for a missing one, and for text where a component, a mapping or a list belongs.
    """
    construct = arguments.__init__
    annotations = {field.name: str(field.type) for field in fields(arguments)}  # pyright: ignore[reportArgumentType]
    required = [
        field.name
        for field in fields(arguments)  # pyright: ignore[reportArgumentType]
        if field.default is MISSING and field.default_factory is MISSING
    ]

    @functools.wraps(construct)
    def init(self: Any, *positional: Any, **values: Any) -> None:
        kind = type(self).__name__
        if positional:
            raise pulumi.RunError(f"{kind} takes named arguments alone: write {kind}({next(iter(annotations))}=…)")
        for name, value in values.items():
            if name not in annotations:
                raise pulumi.RunError(f"{kind} has no argument {name!r}: {_nearest(name, annotations)}")
            check_value(f"{kind}({name}=…)", annotations[name], value)
        if missing := [name for name in required if name not in values]:
            raise pulumi.RunError(f"{kind} needs {' and '.join(missing)}: write {kind}({missing[0]}=…)")
        construct(self, **values)

    arguments.__init__ = init
    return arguments


def checked_component(init: Callable[..., None]) -> Callable[..., None]:
    """Make a component's constructor refuse arguments that belong into its `Args`, and anything in their place."""
    code = init.__code__
    names = code.co_varnames[1 : code.co_argcount]
    annotations = {name: str(annotation) for name, annotation in init.__annotations__.items()}
    expected = annotations.get("args", "")

    @functools.wraps(init)
    def checking(self: Any, *positional: Any, **values: Any) -> None:
        kind = type(self).__name__
        for name in values:
            if name not in names:
                args = f"ts.{expected.partition(' | ')[0]}"
                raise pulumi.RunError(
                    f"{kind} has no argument {name!r}: write {kind}('NAME', {args}({name}=…))"
                    if expected
                    else f"{kind} has no argument {name!r}: {_nearest(name, names)}"
                )
        declared = dict(zip(names, positional, strict=False)) | values
        for name in ("name", "args"):
            if name in annotations and name in declared:
                check_value(f"{kind}'s {name}", annotations[name], declared[name])
        init(self, *positional, **values)

    return checking


def check_value(subject: str, annotation: str, value: Any) -> None:
    """Compare a value with the text of its annotation, where that is simple enough to tell.

    Args:
        subject: What is given, for the message.
        annotation: The annotation, `Compute | None` or `Mapping[str, pulumi.Input[str]]`.
        value: What the program gives; nothing is looked at inside of it.

    Raises:
        pulumi.RunError: It is of another kind; says what belongs there.
    """
    kinds = [part.partition("[")[0] for part in _alternatives(annotation)]
    if "pulumi.Input" in kinds or "Any" in kinds or (value is None and "None" in kinds):
        return
    if isinstance(value, pulumi.Output) or {base.__name__ for base in type(value).__mro__} & set(kinds):
        return
    for kind, type_ in (("Mapping", Mapping), ("Sequence", Sequence)):
        if kind in kinds and isinstance(value, type_) and not isinstance(value, str | bytes):
            return
    if any(isinstance(value, _ALSO[kind]) for kind in kinds if kind in _ALSO):
        return
    raise pulumi.RunError(f"{subject} takes {_expected(kinds)}, not {_kind_of(value)}")


def _alternatives(annotation: str) -> list[str]:
    """Split `A[B | C] | None` at its outer bars."""
    parts, depth, start = list[str](), 0, 0
    for index, character in enumerate(annotation):
        depth += (character == "[") - (character == "]")
        if character == "|" and depth == 0:
            parts.append(annotation[start:index].strip())
            start = index + 1
    return [*parts, annotation[start:].strip()]


def _expected(kinds: Sequence[str]) -> str:
    words = {"str": "text", "int": "a whole number", "float": "a number", "bool": "True or False"}
    return " or ".join(
        _EXAMPLES.get(kind) or words.get(kind) or f"a ts.{kind}" for kind in kinds if kind not in ("None", "Adopted")
    )


def _kind_of(value: Any) -> str:
    """Name the kind of a value, never the value: it may be a secret."""
    if value is None:
        return "None"
    return "text" if isinstance(value, str) else f"a {type(value).__name__}"


def _nearest(name: str, names: Sequence[str] | Mapping[str, str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(names), 1)
    return f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
