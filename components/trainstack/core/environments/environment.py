"""Training environments: the one module that others import for them.

An `EnvironmentSpec` says what an environment holds, `lock` pins it, `build` installs it on this machine, and
`find_damage` and `find_change` check it there. `docs/environments.md` explains environments to users.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainstack.core.environments.curated import get_curated
from trainstack.core.environments.curated_names import CURATED_PREFIX, curated_names
from trainstack.core.environments.description import EnvironmentDescription, spec_from_inputs
from trainstack.core.environments.lock import Lock, cached_lock, lock
from trainstack.core.environments.spec import DEFAULT_PYTHON, EnvironmentSpec
from trainstack.core.environments.uv_command import Progress
from trainstack.core.environments.venv import BuiltEnvironment, build, find_change, find_damage, location
from trainstack.errors import InvalidInputError

__all__ = [
    "CURATED_PREFIX",
    "DEFAULT_PYTHON",
    "BuiltEnvironment",
    "EnvironmentDescription",
    "EnvironmentSpec",
    "Lock",
    "Progress",
    "build",
    "cached_lock",
    "clone",
    "curated_names",
    "find_change",
    "find_damage",
    "get_curated",
    "location",
    "lock",
    "spec_from_inputs",
]


def clone(spec: EnvironmentSpec, new_name: str, *, add: Iterable[str] = ()) -> EnvironmentSpec:
    """Return the same environment under another name, with more packages if any are given.

    Args:
        spec: A curated environment or one's own.
        new_name: Its new name.
        add: PEP 508 lines to add. With any, the lock that `spec` brings along is dropped and made anew.

    Raises:
        InvalidInputError: The name is not usable, or packages are added to a conda specification.
    """
    added = tuple(add)
    if added and spec.conda is not None:
        raise InvalidInputError("add packages to the pip list of the conda specification instead", field="packages")
    return EnvironmentSpec(
        name=new_name,
        python=spec.python,
        packages=(*spec.packages, *added),
        constraints=spec.constraints,
        conda=spec.conda,
        variables=spec.variables,
        lock=None if added else spec.lock,
    )
