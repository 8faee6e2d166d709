"""The training environments that this machine's cache holds, read from their folders alone."""

from __future__ import annotations

from dataclasses import dataclass

from trainstack.core.environments import environment
from trainstack.core.environments.environment import BuiltEnvironment
from trainstack.core.environments.requirements import read_lock
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.storage.cache import cache_folder


@dataclass(frozen=True)
class CachedEnvironment:
    """A folder of the cache.

    Attributes:
        built: Its location; it may be incomplete.
        python: Its Python's version; empty when it is unknown.
        packages: Names and versions that its lock pins; empty when there is no lock.
    """

    built: BuiltEnvironment
    python: str
    packages: dict[str, str]


def cached_environments() -> list[CachedEnvironment]:
    """List the environments of this machine's cache, finished or not, by digest."""
    root = cache_folder() / "environments"
    environments: list[CachedEnvironment] = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.is_dir():
            built = BuiltEnvironment(digest=folder.name, folder=folder, python=folder / "venv" / "bin" / "python")
            python = _python(built)
            environments.append(CachedEnvironment(built, python, _packages(built, python)))
    return environments


def state(built: BuiltEnvironment) -> tuple[str, str]:
    """Return the state of an environment (`ready`, `building`, `broken`, `not built`), and why it is broken."""
    reason = environment.find_damage(built)
    if reason is None:
        return "ready", ""
    if locks.is_locked(built.folder.with_name(f"{built.folder.name}.lock")):
        return "building", ""
    return ("broken", reason) if built.folder.exists() else ("not built", "")


def _python(built: BuiltEnvironment) -> str:
    try:
        lines = (built.folder / "venv" / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition("=")[2].strip() for line in lines if line.startswith("version_info")), "")


def _packages(built: BuiltEnvironment, python: str) -> dict[str, str]:
    try:
        pins = read_lock((built.folder / "requirements.lock").read_text("utf-8"))
    except (OSError, TrainstackError):
        return {}
    return {pin.name: pin.version for pin in pins if not python or pin.applies(python)}
