"""What the doctor looks at on this machine, whatever the workspace."""

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
    """The interpreter that this runs in."""
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= _PYTHON:
        yield ok("python", found)
    else:
        yield broken("python", found, "install Python 3.11 or newer")


def engine() -> Iterator[Check]:
    """The Pulumi engine: on PATH, or in the environment that this command is from."""
    beside = str(Path(sys.executable).parent)
    program = pulumi_program()
    if program is None:
        yield broken("pulumi", "not on PATH", "run `make setup`, or install https://www.pulumi.com/docs/install/")
        return
    said = _say([program, "version"], PULUMI_SKIP_UPDATE_CHECK="true")
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", said or "")
    if numbers is None:
        yield broken("pulumi", f"{program} does not say its version", "install it anew, or run `make setup`")
    elif tuple(int(part) for part in numbers.groups()) < _ENGINE:
        wanted = ".".join(map(str, _ENGINE))
        yield broken("pulumi", f"{numbers[0]} at {program}", f"install {wanted} or newer, or run `make setup`")
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
    said = _say([program, "--version"]) if program else None
    if said is None:
        yield broken("uv", "not to be found beside this Python", f"run `{sys.executable} -m pip install uv`")
    else:
        yield ok("uv", f"{said.split()[1]} at {program}")


def git() -> Iterator[Check]:
    """Git, which tells from which commit a run was submitted."""
    program = shutil.which("git")
    said = _say([program, "--version"]) if program else None
    if said is None:
        yield warning("git", "not on PATH", "install it, so that runs can say which commit they are of")
    else:
        yield ok("git", f"{said.split()[-1]} at {program}")


def cache() -> Iterator[Check]:
    """The machine-wide cache: room for environments."""
    from trainstack.storage.cache import cache_folder

    yield room("cache", cache_folder())


def environments() -> Iterator[Check]:
    """Built environments that are not whole."""
    from trainstack.cli.resources.built_environments import built_here, state

    states = [(one.built.digest, *state(one.built)) for one in built_here()]
    bad = [(digest, reason) for digest, name, reason in states if name == "broken"]
    for digest, reason in bad:
        yield warning("environment", f"{digest[:12]}: {reason}", "the next run in it builds it again")
    if not bad:
        yield ok("environments", f"{len(states)} on this machine")


def docker() -> Iterator[Check]:
    """Where Docker's own tools would look, when that is said."""
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
    """Whether a cluster is named; it is not asked."""
    named = os.environ.get("KUBECONFIG")
    if not named:
        yield ok("kubernetes", "KUBECONFIG is not set")
        return
    missing = [path for path in named.split(os.pathsep) if path and not Path(path).is_file()]
    if missing:
        yield warning("kubernetes", f"KUBECONFIG names {missing[0]}, which is not there", "mend or unset KUBECONFIG")
    else:
        yield ok("kubernetes", f"KUBECONFIG is set to {named}")


LOOKS: dict[str, Callable[[], Iterator[Check]]] = {
    look.__name__: look for look in (python, engine, uv, git, cache, environments, docker, kubernetes)
}


def room(name: str, folder: Path) -> Check:
    """Whether a folder, which need not exist yet, can be written and has room.

    Args:
        name: The finding's name.
        folder: The folder.
    """
    from trainstack.cli.format import size

    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{size(free)} free at {folder}"
    if not os.access(there, os.W_OK | os.X_OK):
        return broken(name, f"{folder} cannot be written", f"check owner and mode of {there}")
    if free < _ROOM:
        return warning(name, found, f"free some space: less than {size(_ROOM)} may not hold one more environment")
    return ok(name, found)


def _say(command: list[str], **variables: str) -> str | None:
    """What a program prints on standard output; none when it cannot be run or fails."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None
