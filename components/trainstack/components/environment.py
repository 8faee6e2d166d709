"""Environment: what a run's Python has: packages, locked, or an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from trainstack.components.base import BaseResource, Component, in_clear, program_errors, resource_inputs
from trainstack.components.compute import Compute
from trainstack.components.declaration import checked
from trainstack.core.workspace.project import pin_file, portable, project_root
from trainstack.errors import InvalidInputError
from trainstack.provider.lazy_providers import LazyEnvironmentProvider

if TYPE_CHECKING:
    from trainstack.core.environments.environment import EnvironmentSpec


DEFAULT_PYTHON = "3.11"
SOURCES = ("packages", "requirements_file", "conda_file", "conda", "curated", "image", "dockerfile")
"""What an environment can be described by."""


@checked
@dataclass(kw_only=True)
class EnvironmentArgs:
    """Arguments of an environment: exactly one of the sources.

    Attributes:
        packages: Requirements such as `numpy==1.26.4`.
        requirements_file: A requirements file, relative to the program's folder.
        conda_file: A conda specification (YAML), relative to the program's folder.
        conda: The same as a mapping.
        curated_name: A curated environment's name, with or without `trainstack-`.
        image: An image that you have, with a Python in it; for a compute that runs containers.
        dockerfile: Your Dockerfile, relative to the program's folder; for a compute that runs containers.
        context: The folder that the Dockerfile copies from, relative to the program's; the Dockerfile's own when left
            out. Alone, it holds the `Dockerfile`.
        base_image: The image that packages are built on where they become one; the workspace's, or Python's slim image,
            when left out.
        compute: Where it is going to be used: it is made ready there, as an image where that compute runs containers,
            before the first run asks for it. Without it, it is made ready on this machine.
        python: Python's version.
        variables: Environment variables that every run in it gets.
        lock: A lock to use instead of resolving one.
    """

    packages: Sequence[str] = ()
    requirements_file: str | None = None
    conda_file: str | None = None
    conda: Mapping[str, Any] | None = None
    curated_name: str | None = None
    image: str | None = None
    dockerfile: str | None = None
    context: str | None = None
    base_image: str | None = None
    compute: Compute | None = None
    python: str = DEFAULT_PYTHON
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    lock: str | None = None

    @classmethod
    def curated(cls, name: str, *, compute: Compute | None = None) -> EnvironmentArgs:
        """Take a curated environment; `trainstack environments list` names them.

        Args:
            name: Its name.
            compute: Where it is going to be used.
        """
        return cls(curated_name=name, compute=compute)

    @classmethod
    def clone(cls, name: str, *, add: Sequence[str] = ()) -> EnvironmentArgs:
        """Start from a curated environment, to be registered under a name of your own.

        Args:
            name: The curated environment.
            add: Requirements besides its own; with any, it is locked anew.
        """
        # Only programs that clone load what reads environments.
        from trainstack.core.environments.environment import clone, get_curated

        with program_errors(f"environment {name}"):
            return cls._of(clone(get_curated(name), "clone", add=add))

    @classmethod
    def from_directory(cls, folder: str) -> EnvironmentArgs:
        """Take an environment that `save_to_directory` wrote, with its lock.

        Args:
            folder: The folder, relative to the program's.
        """
        # Only programs that load one need pydantic and the rest of it.
        from trainstack.core.images.saved_environment import load_from_directory

        with program_errors(f"environment in {folder}"):
            return cls._of(load_from_directory(folder))

    def save_to_directory(self, folder: str, name: str = "environment") -> None:
        """Write the environment and its lock into a folder, enough to build the same elsewhere.

        Args:
            folder: The folder; made when missing.
            name: What the environment is called there.
        """
        # Only programs that save one need pydantic and the rest of it.
        from trainstack.core.environments.environment import spec_from_inputs
        from trainstack.core.images.saved_environment import save_to_directory

        with program_errors(f"environment {name}"):
            save_to_directory(spec_from_inputs(self.spec(name), project_root()), folder)

    @classmethod
    def _of(cls, spec: EnvironmentSpec) -> EnvironmentArgs:
        if spec.curated is not None:
            return cls(curated_name=spec.curated)
        return cls(
            packages=spec.packages if spec.conda is None else (),
            image=spec.image,
            dockerfile=spec.dockerfile,
            context=spec.context,
            base_image=spec.base_image,
            conda=spec.conda,
            python=spec.python,
            variables=spec.variables,
            lock=spec.lock,
        )

    def spec(self, name: str) -> dict[str, Any]:
        """The description that the environment's inputs hold; the provider checks it, in preview too.

        Args:
            name: The environment's name.

        Raises:
            InvalidInputError: No source or several are given.
        """
        values = resource_inputs(
            self,
            omit=("compute", "curated_name"),
            requirements_file=_portable(self.requirements_file),
            conda_file=_portable(self.conda_file),
            curated=self.curated_name,
            dockerfile=_portable(self._dockerfile()),
            context=_portable(self._context()),
        )
        description = {field: value for field, value in values.items() if value != _DEFAULTS.get(field)}
        sources = [source for source in SOURCES if source in description]
        if len(sources) != 1:
            raise InvalidInputError(f"give one of {', '.join(SOURCES)}; {' and '.join(sources) or 'none'} given")
        if sources == ["curated"] and not description.keys() <= {"curated", "base_image"}:
            raise InvalidInputError("a curated environment takes nothing besides: clone it under your own name")
        return {"name": name, **in_clear(f"environment {name}", description)}

    def _dockerfile(self) -> str | None:
        if self.dockerfile is None and self.context is not None:
            return f"{self.context}/Dockerfile"
        return self.dockerfile

    def _context(self) -> str | None:
        if self.context is None and self.dockerfile is not None:
            return str(Path(self.dockerfile).parent)
        return self.context


_DEFAULTS: dict[str, Any] = {"packages": [], "python": DEFAULT_PYTHON, "variables": {}}
"""Fields that are left out of the description at these values, as others are at None."""


def _portable(path: str | None) -> str | None:
    return None if path is None else portable(Path.cwd() / path, project_root())


class _Resource(BaseResource, module="trainstack", name="Environment"):
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]
    files: pulumi.Output[dict[str, str]]
    image: pulumi.Output[str]
    built_in: pulumi.Output[str]


class Environment(Component):
    """A locked set of packages, built once a machine and shared by all runs that lock the same; or an image.

    Attributes:
        name: Its name.
        spec: The description that its inputs hold.
        digest: Digest of the lock: Python and each pinned package; that of the image where it is one.
        packages: Version by package.
        image: The image by digest, where it was made ready for a compute that runs containers; else empty.

    Example:
        ```python
        tf = ts.Environment("tensorflow", ts.EnvironmentArgs.curated("tensorflow-2.15"))
        ```
    """

    kind = "Environment"

    def __init__(self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        with program_errors(f"environment {name}"):
            self.spec = args.spec(name)
        pins = pin_file(project_root(), pulumi.get_stack())
        if pins.is_file():
            # Named, not read: what it holds would fill the state of every run.
            self.spec["pins"] = portable(pins, project_root())
        super().__init__(name, opts)
        self.name = name
        inputs: dict[str, Any] = {"spec": self.spec}
        if args.compute is not None:
            inputs |= {"compute": args.compute.spec, **args.compute.workspace.images}
        self._resource = _Resource(LazyEnvironmentProvider(), name, inputs, self._child_options([args.compute]))
        self.digest = self._resource.digest
        self.packages = self._resource.packages
        self.image = self._resource.image
        self.register_outputs({"name": name, "digest": self.digest})
