"""The doctor's checks of this machine, whatever the workspace."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from trainstack.cli.doctor.check import Check, broken, ok, warning
from trainstack.core.workspace.project import pulumi_program

_PYTHON = (3, 11)
_ENGINE = (3, 250, 0)
# A TensorFlow 2.15 environment takes 1.2 GB.
_ROOM = 2_000_000_000


def python() -> Iterator[Check]:
    """The version of the interpreter that this runs in."""
    version = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= _PYTHON:
        yield ok("python", version)
    else:
        yield broken("python", version, "install Python 3.11 or newer")


def engine() -> Iterator[Check]:
    """The Pulumi engine: on PATH, or in the environment that this command is from."""
    beside = str(Path(sys.executable).parent)
    program = pulumi_program()
    if program is None:
        yield broken("pulumi", "not on PATH", "run `make setup`, or install https://www.pulumi.com/docs/install/")
        return
    version_text = _run([program, "version"], PULUMI_SKIP_UPDATE_CHECK="true")
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", version_text or "")
    if numbers is None:
        yield broken("pulumi", f"{program} does not print its version", "install it again, or run `make setup`")
    elif tuple(int(part) for part in numbers.groups()) < _ENGINE:
        oldest = ".".join(map(str, _ENGINE))
        yield broken("pulumi", f"{numbers[0]} at {program}", f"install {oldest} or newer, or run `make setup`")
    elif shutil.which("pulumi") is None:
        yield warning("pulumi", f"{numbers[0]} at {program}, not on PATH", f"put {beside} first on PATH")
    else:
        yield ok("pulumi", f"{numbers[0]} at {program}")


def uv() -> Iterator[Check]:
    """The program that builds training environments."""
    from trainstack.core.environments import uv_command

    try:
        program = uv_command.uv()
    except (FileNotFoundError, ImportError):
        program = None
    version_text = _run([program, "--version"]) if program else None
    if version_text is None:
        yield broken("uv", "not installed with this Python", f"run `{sys.executable} -m pip install uv`")
    else:
        yield ok("uv", f"{version_text.split()[1]} at {program}")


def git() -> Iterator[Check]:
    """Git, which records the commit that a run was submitted from."""
    program = shutil.which("git")
    version_text = _run([program, "--version"]) if program else None
    if version_text is None:
        yield warning("git", "not on PATH", "install it, so that runs can say which commit they are of")
    else:
        yield ok("git", f"{version_text.split()[-1]} at {program}")


def cache() -> Iterator[Check]:
    """The machine-wide cache: room for environments."""
    from trainstack.storage.cache import cache_folder

    yield room("cache", cache_folder())


def environments() -> Iterator[Check]:
    """Built environments that are not whole."""
    from trainstack.cli.resources.built_environments import cached_environments, state

    states = [(cached.built.digest, *state(cached.built)) for cached in cached_environments()]
    bad = [(digest, reason) for digest, name, reason in states if name == "broken"]
    for digest, reason in bad:
        yield warning("environment", f"{digest[:12]}: {reason}", "the next run in it builds it again")
    if not bad:
        yield ok("environments", f"{len(states)} on this machine")


def docker() -> Iterator[Check]:
    """Whether Docker answers at DOCKER_HOST, where that is set."""
    address = os.environ.get("DOCKER_HOST")
    if not address:
        yield ok("docker", "DOCKER_HOST is not set")
        return
    from trainstack.cli.doctor.docker_address import reach

    problem = reach(address)
    if problem:
        yield warning("docker", f"DOCKER_HOST is set, {problem}", "start Docker there, or unset DOCKER_HOST")
    else:
        yield ok("docker", f"DOCKER_HOST is set to {address}")


def kubernetes() -> Iterator[Check]:
    """Whether KUBECONFIG names files that exist; no cluster is reached."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        yield ok("kubernetes", "KUBECONFIG is not set")
        return
    missing = [path for path in kubeconfig.split(os.pathsep) if path and not Path(path).is_file()]
    if missing:
        yield warning("kubernetes", f"KUBECONFIG names {missing[0]}, which does not exist", "fix or unset KUBECONFIG")
    else:
        yield ok("kubernetes", f"KUBECONFIG is set to {kubeconfig}")


CHECKS: dict[str, Callable[[], Iterator[Check]]] = {
    check.__name__: check for check in (python, engine, uv, git, cache, environments, docker, kubernetes)
}


def room(name: str, folder: Path) -> Check:
    """Whether a folder, which need not exist yet, can be written and has room.

    Args:
        name: The finding's name.
        folder: The folder.
    """
    from trainstack.cli.format import size

    existing_folder = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing_folder).free
    space = f"{size(free)} free at {folder}"
    if not os.access(existing_folder, os.W_OK | os.X_OK):
        return broken(name, f"{folder} cannot be written", f"check owner and mode of {existing_folder}")
    if free < _ROOM:
        return warning(name, space, f"free some space: less than {size(_ROOM)} may not hold one more environment")
    return ok(name, space)


def _run(command: list[str], **variables: str) -> str | None:
    """Run a program and return what it prints; none when it cannot be run or fails."""
    try:
        completed = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return completed.stdout.strip() or None if completed.returncode == 0 else None
