"""What a program declares of a dataset as a whole: a version that does not keep it is not registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from trainstack.core.datasets.in_place.object_source import matches_glob
from trainstack.errors import InvalidInputError

Least = Annotated[int, Field(ge=0)]


class DatasetChecks(BaseModel):
    """What every version must be.

    Attributes:
        min_files: The fewest files.
        max_files: The most files.
        min_bytes: The fewest bytes in all.
        max_bytes: The most bytes in all.
        globs: Globs over the files' paths in the dataset, each of which must match some.
        no_empty_files: Whether each file must have a byte.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    min_files: Least | None = None
    max_files: Least | None = None
    min_bytes: Least | None = None
    max_bytes: Least | None = None
    globs: tuple[str, ...] = ()
    no_empty_files: bool = False


def check_files(name: str, checks: DatasetChecks | None, sizes: Mapping[str, int]) -> None:
    """Hold files against what is declared of them.

    Args:
        name: The dataset.
        checks: What is declared; none for nothing.
        sizes: Bytes by path in the dataset.

    Raises:
        InvalidInputError: They are not what is declared; says in how far.
    """
    if checks is None:
        return
    problems = [
        *_bounds("files", len(sizes), checks.min_files, checks.max_files),
        *_bounds("bytes", sum(sizes.values()), checks.min_bytes, checks.max_bytes),
        *(f"no file matches {pattern!r}" for pattern in checks.globs if not _some_match(pattern, sizes)),
    ]
    if checks.no_empty_files and (empty := sorted(path for path, size in sizes.items() if size == 0)):
        problems.append(f"{len(empty):,} empty files, {empty[0]!r} among them")
    if problems:
        raise InvalidInputError(
            f"dataset {name!r} is not what checks declare: {'; '.join(problems)}: correct the data or the checks",
            field="checks",
        )


def _bounds(unit: str, count: int, least: int | None, most: int | None) -> list[str]:
    if least is not None and count < least:
        return [f"{count:,} {unit}, at least {least:,}"]
    if most is not None and count > most:
        return [f"{count:,} {unit}, at most {most:,}"]
    return []


def _some_match(pattern: str, sizes: Mapping[str, int]) -> bool:
    return any(matches_glob(pattern, path) for path in sizes)
