"""The specification of a training environment: packages on a Python, or an image, and environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from trainstack.core.environments import conda as condas
from trainstack.core.environments.base_image import checked_reference
from trainstack.core.environments.curated_names import CURATED_PREFIX, curated_names
from trainstack.core.environments.requirements import checked_requirement, read_lock
from trainstack.core.environments.requirements_file import Requirements, read_pip_list, read_requirements_file
from trainstack.core.properties import as_lines, as_mapping
from trainstack.core.workspace.workspace import checked_name
from trainstack.errors import InvalidInputError
from trainstack.storage import digest as digests

DEFAULT_PYTHON = "3.11"
_PYTHON = re.compile(r"3\.(\d{1,2})(\.\d{1,2})?")
_OLDEST_MINOR = 8
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvironmentSpec(BaseModel):
    """A training environment. Invalid input raises `InvalidInputError` when the spec is created.

    Attributes:
        name: Its name; the prefix `trainstack-` belongs to curated environments.
        python: Python version, `3.11` or exact, `3.11.7`.
        packages: PEP 508 lines; kept sorted and in one spelling, so that their order does not matter.
        constraints: PEP 508 lines that bound versions of packages without asking for them.
        conda: A parsed conda specification in place of `packages`.
        variables: Environment variables of every run in it. Not secret: they are shown and stored in clear.
        lock: The whole text of a lock, where there is one already; nothing is resolved then.
        curated: The name of the curated environment that this is, if it is one.
        base_image: What to build on where packages become an image; says nothing of what they are.
        image: An image that the user has, in place of packages.
        dockerfile: Absolute path of the user's Dockerfile, in place of packages.
        context: Absolute path of the folder that it copies from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    python: str = DEFAULT_PYTHON
    packages: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    conda: dict[str, Any] | None = None
    variables: dict[str, str] = {}
    lock: str | None = None
    curated: str | None = None
    base_image: str | None = None
    image: str | None = None
    dockerfile: str | None = None
    context: str | None = None

    @classmethod
    def from_packages(
        cls,
        name: str,
        packages: Iterable[str],
        *,
        python: str = DEFAULT_PYTHON,
        variables: Mapping[str, str] | None = None,
    ) -> Self:
        """Make an environment of a list of PEP 508 lines."""
        return cls(name=name, python=python, packages=tuple(packages), variables=dict(variables or {}))

    @classmethod
    def from_requirements_file(
        cls,
        path: Path | str,
        *,
        name: str | None = None,
        python: str = DEFAULT_PYTHON,
        variables: Mapping[str, str] | None = None,
    ) -> Self:
        """Make an environment of a requirements file; one whose lines carry hashes is its own lock.

        Args:
            path: The file; `-r` lines in it are followed.
            name: Name of the environment; the file's stem when not given.
            python: Python version.
            variables: Environment variables of every run in it.

        Raises:
            InvalidInputError: The file is missing or holds something that is not a package.
        """
        path = Path(path)
        requirements = read_requirements_file(path)
        return cls(
            name=name or path.stem,
            python=python,
            packages=tuple(requirements.plain),
            constraints=tuple(requirements.constraints),
            variables=dict(variables or {}),
            lock=requirements.lock,
        )

    @classmethod
    def from_conda_file(
        cls, path: Path | str, *, name: str | None = None, variables: Mapping[str, str] | None = None
    ) -> Self:
        """Make an environment of a conda specification in YAML.

        Raises:
            InvalidInputError: The file is missing, not YAML, or not a conda specification.
        """
        path = Path(path)
        specification = condas.read_file(path)
        listed = condas.pip_lines(specification)
        requirements = read_pip_list(listed, path.parent, str(path)) if listed else Requirements()
        expanded = condas.with_pip_lines(specification, requirements.plain)
        return cls.from_conda(expanded, name=name or "", variables=variables, constraints=requirements.constraints)

    @classmethod
    def from_conda(
        cls,
        specification: Mapping[str, Any],
        *,
        name: str = "",
        variables: Mapping[str, str] | None = None,
        constraints: Iterable[str] = (),
    ) -> Self:
        """Make an environment of a parsed conda specification (`name`, `channels`, `dependencies`).

        Args:
            specification: As `conda env create --file` reads it.
            name: Name of the environment; the specification's own when not given.
            variables: Environment variables of every run in it, over those of the specification.
            constraints: Lines that bound versions of packages without asking for them.

        Raises:
            InvalidInputError: It is not a conda specification, or has no name and none is given.
        """
        full_name = str(name or specification.get("name") or "")
        if not full_name:
            raise InvalidInputError("the conda specification has no name: give one", field="name")
        merged = {**condas.specification_variables(specification), **(variables or {})}
        return cls(name=full_name, conda=dict(specification), constraints=tuple(constraints), variables=merged)

    @model_validator(mode="wrap")
    @classmethod
    def _one_line(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Report an invalid field in one line, and bring every spelling of an environment into one form."""
        if isinstance(data, cls):
            return data
        fields = as_mapping(data)
        try:
            spec = handler(data if fields is None else _canonical(fields))
        except ValidationError as exc:
            error = exc.errors()[0]
            field = ".".join(str(part) for part in error["loc"])
            raise InvalidInputError(f"environment {field}: {error['msg']}", field=field) from exc
        _check(spec)
        return spec

    def with_fields(self, **fields: str | None) -> Self:
        """The same environment with other values of some fields, checked again."""
        return type(self).model_validate({**self.model_dump(), **fields})

    @property
    def requirements(self) -> tuple[str, ...]:
        """The PEP 508 lines that uv resolves: the packages, or those of the conda specification."""
        return self.packages if self.conda is None else condas.split_specification(self.conda).requirements

    @property
    def conda_packages(self) -> tuple[str, ...]:
        """Conda packages that only micromamba or conda can install; empty for nearly all environments."""
        return () if self.conda is None else condas.split_specification(self.conda).native

    @property
    def only_image(self) -> bool:
        """Whether it is an image or a Dockerfile: it then has no packages to install anywhere else."""
        return self.image is not None or self.dockerfile is not None

    @property
    def digest(self) -> str:
        """Hex SHA-256 over what decides the lock; not the name, nor the variables."""
        channels = (
            condas.split_specification(self.conda).channels if self.conda is not None and self.conda_packages else ()
        )
        parts = [self.python, sorted(self.requirements), sorted(self.conda_packages), channels, self.lock or ""]
        return digests.of_json([*parts, *([list(self.constraints)] if self.constraints else [])])


def _canonical(data: dict[str, Any]) -> dict[str, Any]:
    if isinstance(data.get("packages"), str):
        raise InvalidInputError(f"environment packages: {data['packages']!r} is one text, not a list", field="packages")
    for field in ("packages", "constraints"):
        lines = as_lines(data.get(field))
        if lines is not None:
            data[field] = tuple(sorted({checked_requirement(line) for line in lines}))
    specification = as_mapping(data.get("conda"))
    if specification is not None:
        if data.get("packages"):
            raise InvalidInputError(
                "an environment takes packages or a conda specification, not both: move the packages into the "
                "specification's pip list",
                field="packages",
            )
        python = condas.split_specification(specification).python
        requested = data.get("python", DEFAULT_PYTHON)
        if python is not None and requested not in (python, DEFAULT_PYTHON):
            raise InvalidInputError(
                f"python is {requested}, but the conda specification says {python}: drop one", field="python"
            )
        data["python"] = python or requested
    return data


def _check(spec: EnvironmentSpec) -> None:
    checked_name(spec.name, "environment")
    if spec.name.startswith(CURATED_PREFIX) and spec.curated != spec.name:
        raise InvalidInputError(
            f"environment name {spec.name!r} begins with {CURATED_PREFIX!r}, which belongs to curated environments: "
            "choose another name, or get the curated one and clone it",
            field="name",
        )
    if spec.curated is not None and spec.curated not in curated_names():
        raise InvalidInputError(
            f"there is no curated environment {spec.curated!r} in this Trainstack: it has {', '.join(curated_names())}",
            field="curated",
        )
    match = _PYTHON.fullmatch(spec.python)
    if match is None or int(match[1]) < _OLDEST_MINOR:
        raise InvalidInputError(
            f"python version {spec.python!r} is not usable: write 3.{_OLDEST_MINOR} or newer, like 3.11 or 3.11.7",
            field="python",
        )
    for variable, value in spec.variables.items():
        if not _VARIABLE.fullmatch(variable) or "\0" in value:
            raise InvalidInputError(
                f"environment variable {variable!r} is not usable: letters, digits and '_', not a digit first",
                field="variables",
            )
    if spec.lock is not None:
        read_lock(spec.lock)
    _check_images(spec)


def _check_images(spec: EnvironmentSpec) -> None:
    if spec.base_image is not None:
        checked_reference(spec.base_image, "base_image")
    if not spec.only_image:
        if spec.context is not None:
            raise InvalidInputError("context is for a dockerfile, and none is given", field="context")
        return
    kind = "image" if spec.image is not None else "dockerfile"
    if spec.image is not None:
        checked_reference(spec.image, "image")
    elif spec.context is None:
        raise InvalidInputError("a dockerfile needs the context that it copies from", field="context")
    others = {
        "dockerfile": spec.image is not None and spec.dockerfile is not None,
        "packages": bool(spec.packages),
        "conda": spec.conda is not None,
        "lock": spec.lock is not None,
        "base_image": spec.base_image is not None,
        "python": spec.python != DEFAULT_PYTHON,
    }
    for other, present in others.items():
        if present:
            raise InvalidInputError(f"an environment of {kind} takes no {other}: drop one of them", field=other)
