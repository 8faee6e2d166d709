"""Environment: the packages that a run's Python has, locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from trainstack.components.base import Component, LifecycleResource, program_errors
from trainstack.errors import InvalidInputError
from trainstack.lifecycle.environment import (
    EnvironmentSpec,
    clone,
    get_curated,
    load_from_directory,
    save_to_directory,
)
from trainstack.provider.environment import EnvironmentProvider


@dataclass(kw_only=True)
class EnvironmentArgs:
    """Arguments of an environment: exactly one of the sources.

    Attributes:
        packages: Requirements such as `numpy==1.26.4`.
        requirements_file: A requirements file, relative to the program's folder.
        conda_file: A conda specification (YAML), relative to the program's folder.
        conda: The same as a mapping.
        curated_name: A curated environment's name, with or without `trainstack-`.
        python: Python's version.
        variables: Environment variables that every run in it gets.
        lock: A lock to use instead of resolving one.
    """

    packages: Sequence[str] = ()
    requirements_file: str | None = None
    conda_file: str | None = None
    conda: Mapping[str, Any] | None = None
    curated_name: str | None = None
    python: str = "3.11"
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    lock: str | None = None

    @classmethod
    def curated(cls, name: str) -> EnvironmentArgs:
        """Take a curated environment; `trainstack environments list` names them."""
        return cls(curated_name=name)

    @classmethod
    def clone(cls, name: str, *, add: Sequence[str] = ()) -> EnvironmentArgs:
        """Start from a curated environment, to be registered under a name of your own.

        Args:
            name: The curated environment.
            add: Requirements besides its own; with any, it is locked anew.
        """
        with program_errors(f"environment {name}"):
            return cls._of(clone(get_curated(name), "clone", add=add))

    @classmethod
    def from_directory(cls, folder: str) -> EnvironmentArgs:
        """Take an environment that `save_to_directory` wrote, with its lock.

        Args:
            folder: The folder, relative to the program's.
        """
        with program_errors(f"environment in {folder}"):
            return cls._of(load_from_directory(folder))

    def save_to_directory(self, folder: str, name: str = "environment") -> None:
        """Write the environment and its lock into a folder, enough to build the same elsewhere.

        Args:
            folder: The folder; made when missing.
            name: What the environment is called there.
        """
        with program_errors(f"environment {name}"):
            save_to_directory(self._spec(name) if self.curated_name is None else get_curated(self.curated_name), folder)

    @classmethod
    def _of(cls, spec: EnvironmentSpec) -> EnvironmentArgs:
        if spec.curated is not None:
            return cls(curated_name=spec.curated)
        return cls(
            packages=spec.packages if spec.conda is None else (),
            conda=spec.conda,
            python=spec.python,
            variables=spec.variables,
            lock=spec.lock,
        )

    def spec(self, name: str) -> dict[str, Any]:
        """What the environment's inputs hold; a curated one is named, its packages come with Trainstack.

        Args:
            name: The environment's name.

        Raises:
            InvalidInputError: No source or several are given, or what is given is wrong.
        """
        sources = {
            "packages": list(self.packages) or None,
            "requirements_file": self.requirements_file,
            "conda_file": self.conda_file,
            "conda": self.conda,
            "curated_name": self.curated_name,
        }
        given = [source for source, value in sources.items() if value is not None]
        if len(given) != 1:
            raise InvalidInputError(
                f"give one of {', '.join(sources)}; {' and '.join(given) if given else 'none'} given"
            )
        return self._spec(name).model_dump(mode="json", exclude_defaults=True)

    def _spec(self, name: str) -> EnvironmentSpec:
        variables = dict(self.variables)
        if self.curated_name is not None:
            if variables or self.lock:
                raise InvalidInputError(
                    "a curated environment takes no variables or lock: clone it under your own name"
                )
            return get_curated(self.curated_name).model_copy(update={"name": name, "lock": None, "packages": ()})
        if self.requirements_file is not None:
            return EnvironmentSpec.from_requirements_file(
                self.requirements_file, name=name, python=self.python, variables=variables
            )
        if self.conda_file is not None:
            return EnvironmentSpec.from_conda_file(self.conda_file, name=name, variables=variables)
        if self.conda is not None:
            spec = EnvironmentSpec.from_conda(self.conda, name=name, variables=variables)
            return EnvironmentSpec.model_validate({**spec.model_dump(), "lock": self.lock})
        return EnvironmentSpec(
            name=name, python=self.python, packages=tuple(self.packages), variables=variables, lock=self.lock
        )


class _Resource(LifecycleResource, module="trainstack", name="Environment"):
    outputs = ("digest", "packages")
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]


class Environment(Component):
    """A locked set of packages, built once a machine and shared by all runs that lock the same.

    Attributes:
        name: Its name.
        spec: What was asked for.
        digest: Digest of the lock: Python and each pinned package.
        packages: Version by package.

    Example:
        ```python
        tf = ts.Environment("tensorflow", ts.EnvironmentArgs.curated("tensorflow-2.15"))
        ```
    """

    kind = "Environment"

    def __init__(self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        with program_errors(f"environment {name}"):
            self.spec = args.spec(name)
        super().__init__(name, opts)
        self.name = name
        self._resource = _Resource(EnvironmentProvider(), name, {"spec": self.spec}, self._child_options())
        self.digest = self._resource.digest
        self.packages = self._resource.packages
        self.register_outputs({"name": name, "digest": self.digest})
