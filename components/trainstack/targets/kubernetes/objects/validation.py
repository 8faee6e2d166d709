"""What a program asks of a cluster, checked: one line about the first value that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from trainstack.errors import InvalidInputError

Spec = TypeVar("Spec", bound=BaseModel)


def checked(kind: type[Spec], values: Mapping[str, Any], name: str = "kubernetes") -> Spec:
    """Build a spec from a program's values.

    Args:
        kind: The spec's class.
        values: The values, by field.
        name: What they are called, for the error.

    Raises:
        InvalidInputError: A value is of a wrong kind or out of range; names the first.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        problem = exc.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        reason = problem["msg"].removeprefix("Value error, ")
        raise InvalidInputError(f"{name}: {f'{field}: ' if field else ''}{reason}", field=field) from exc
