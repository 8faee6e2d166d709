"""Environment: the packages that a run's Python has, locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from trainstack.components.base import Component, LifecycleResource, program_errors
from trainstack.lifecycle import environment as lifecycle
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

    def spec(self, name: str) -> lifecycle.EnvironmentSpec:
        """The environment's specification.

        Args:
            name: The environment's name.

        Raises:
            InvalidInputError: No source or several are given, or what is given is wrong.
        """
        return lifecycle.declare(
            name,
            packages=tuple(self.packages),
            requirements_file=Path(self.requirements_file) if self.requirements_file else None,
            conda_file=Path(self.conda_file) if self.conda_file else None,
            conda=dict(self.conda) if self.conda is not None else None,
            curated=self.curated_name,
            python=self.python,
            variables=dict(self.variables),
            lock=self.lock,
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
            self.spec = args.spec(name).model_dump(mode="json", exclude_defaults=True)
        super().__init__(name, opts)
        self.name = name
        self._resource = _Resource(EnvironmentProvider(), name, {"spec": self.spec}, self._child_options())
        self.digest = self._resource.digest
        self.packages = self._resource.packages
        self.register_outputs({"name": name, "digest": self.digest})
