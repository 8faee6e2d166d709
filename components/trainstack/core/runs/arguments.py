"""Script arguments as people write them, as a fingerprint sees them, and as a process gets them.

A mapping (`{"--batch-size": 64}`) has no order; a list (`["train", "--lr", 0.1]`) has. `True` gives a flag without a
value, `False` and `None` leave it out, a list gives one flag several values. A dataset stands in an argument as
`${dataset:NAME}` and becomes the folder that the run sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from trainstack.errors import InvalidInputError

DATASET = re.compile(r"\$\{dataset:([^}]+)\}")
Canonical = dict[str, str | list[str] | bool] | list[str]


def canonical(arguments: Any) -> Canonical:
    """Bring arguments into one form: numbers that are equal look equal, flags are sorted by name.

    Raises:
        InvalidInputError: A name with a space or of another type than text, or a value that no command line can carry.
    """
    if arguments is None:
        return {}
    if isinstance(arguments, Mapping):
        mapping = cast("Mapping[Any, Any]", arguments)
        by_name: dict[str, str | list[str] | bool] = {}
        for name in sorted(mapping, key=str):
            _check_name(name)
            value = mapping[name]
            if value is None or value is False:
                continue
            if value is True:
                by_name[name] = True
            elif isinstance(value, Sequence) and not isinstance(value, str):
                by_name[name] = [scalar(item, name) for item in cast("Sequence[Any]", value)]
            else:
                by_name[name] = scalar(value, name)
        return by_name
    if isinstance(arguments, Sequence) and not isinstance(arguments, str):
        words = cast("Sequence[Any]", arguments)
        return [scalar(value, f"item {index}") for index, value in enumerate(words)]
    raise InvalidInputError(
        f"arguments must be a mapping or a list, not {type(arguments).__name__}: "
        'write {"--batch-size": 64} or ["--batch-size", 64]',
        field="arguments",
    )


def scalar(value: Any, name: str) -> str:
    """One value as the text that the script gets; `64.0` (how Pulumi hands every number over) is `64`.

    Raises:
        InvalidInputError: It is neither text nor a number nor a truth value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidInputError(f"argument {name} holds a NUL character", field="arguments")
        return value
    raise InvalidInputError(
        f"argument {name} is of type {type(value).__name__}: give text, a number, a truth value or a dataset",
        field="arguments",
    )


def named(value: str | list[str] | bool) -> str:
    """A value for people, with `points` in place of `${dataset:points}`."""
    text = " ".join(value) if isinstance(value, list) else str(value)
    return DATASET.sub(lambda match: match[1], text)


def argv(arguments: Canonical, folders: Mapping[str, str]) -> list[str]:
    """The command line that a process gets.

    Args:
        arguments: Canonical arguments.
        folders: Dataset name to the folder that the run sees.
    """
    if isinstance(arguments, list):
        words = arguments
    else:
        words: list[str] = []
        for name, value in arguments.items():
            words.append(name)
            if isinstance(value, list):
                words += value
            elif value is not True:
                words.append(str(value))
    return [DATASET.sub(lambda match: folders[match.group(1)], word) for word in words]


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"argument name {name!r} must be text such as '--batch-size'", field="arguments")
    if any(character.isspace() for character in name) or "=" in name:
        flag = re.split(r"[\s=]", name.strip())[0]
        raise InvalidInputError(
            f"argument name {name!r} holds a space or '=': write the value apart, {{{flag!r}: …}}", field="arguments"
        )
