"""An environment as a program describes it, by one of several sources, and the specification that it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from trainstack.core.environments.curated import get_curated
from trainstack.core.environments.pins import apply_pins
from trainstack.core.environments.spec import DEFAULT_PYTHON, EnvironmentSpec
from trainstack.errors import InvalidInputError


class EnvironmentDescription(BaseModel):
    """The `spec` of an environment's inputs. Paths are relative to the project.

    Attributes:
        name: Its name.
        packages: PEP 508 lines.
        requirements_file: A requirements file, in place of `packages`.
        conda_file: A conda specification (YAML), in place of `packages`.
        conda: A parsed conda specification, in place of `packages`.
        curated: A curated environment's name: state stays small, and its packages come with Trainstack.
        image: An image, in place of `packages`.
        dockerfile: A Dockerfile, in place of `packages`.
        context: The folder that the Dockerfile copies from.
        base_image: The image that packages are built on where they become one.
        python: Python's version.
        variables: Environment variables of every run in it.
        lock: A lock to use instead of resolving one.
        pins: The file of the stack's pins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    packages: tuple[str, ...] | None = None
    requirements_file: str | None = None
    conda_file: str | None = None
    conda: dict[str, Any] | None = None
    curated: str | None = None
    image: str | None = None
    dockerfile: str | None = None
    context: str | None = None
    base_image: str | None = None
    python: str | None = None
    variables: dict[str, str] | None = None
    lock: str | None = None
    pins: str | None = None

    def spec(self, root: Path) -> EnvironmentSpec:
        """Read the files that it names, and take the lock that the stack's pins hold for it.

        Args:
            root: The folder that its paths are relative to.

        Raises:
            InvalidInputError: A file is missing or not valid, or no curated environment has that name.
        """
        spec = self._from_source(root)
        if self.pins is not None:
            spec = apply_pins(spec, root / self.pins)
        return spec if self.base_image is None else spec.with_fields(base_image=self.base_image)

    def _from_source(self, root: Path) -> EnvironmentSpec:
        if self.curated is not None:
            return get_curated(self.curated)
        if self.requirements_file is not None:
            return EnvironmentSpec.from_requirements_file(
                root / self.requirements_file,
                name=self.name,
                python=self.python or DEFAULT_PYTHON,
                variables=self.variables,
            )
        if self.conda_file is not None:
            return EnvironmentSpec.from_conda_file(root / self.conda_file, name=self.name, variables=self.variables)
        if self.conda is not None:
            spec = EnvironmentSpec.from_conda(self.conda, name=self.name, variables=self.variables)
            return spec.with_fields(lock=self.lock)
        fields = self.model_dump(exclude={"base_image", "pins"}, exclude_none=True)
        if self.dockerfile is not None:
            fields |= {"dockerfile": str(root / self.dockerfile), "context": str(root / (self.context or "."))}
        return EnvironmentSpec.model_validate(fields)


def spec_from_inputs(inputs: Mapping[str, Any], root: Path) -> EnvironmentSpec:
    """The environment that a resource's inputs describe; see `EnvironmentDescription`.

    Args:
        inputs: The `spec` of the inputs.
        root: The folder that its paths are relative to.

    Raises:
        InvalidInputError: A field is not valid, a file is missing, or no curated environment has that name.
    """
    try:
        description = EnvironmentDescription.model_validate(dict(inputs))
    except ValidationError as exc:
        error = exc.errors()[0]
        field = ".".join(str(part) for part in error["loc"])
        raise InvalidInputError(f"environment {field}: {error['msg']}", field=field) from exc
    return description.spec(root)
