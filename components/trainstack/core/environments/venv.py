"""Build locked environments: one folder for each lock, built once on a machine, shared by all workspaces.

A virtual environment holds its own path, so it is built where it will stay: under a lock, with a marker written last.
Without the marker the environment counts as missing, whatever the folder holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from trainstack.abbreviation import counted
from trainstack.core.environments import conda_tool, sealed_files
from trainstack.core.environments.horovod_wheel import horovod_wheel
from trainstack.core.environments.lock import Lock
from trainstack.core.environments.requirements import Pin, read_lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.environments.uv_command import Progress, interpreter, no_progress, run, uv, uv_error
from trainstack.errors import CommandFailedError, TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors, write_bytes, write_json
from trainstack.storage.cache import cache_folder
from trainstack.storage.clone import clone

_MARKER = "complete"


class BuiltEnvironment(BaseModel):
    """An environment that is ready on this machine.

    Attributes:
        digest: The digest of its lock.
        folder: Its folder in the machine's cache.
        python: Its Python interpreter.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    digest: str
    folder: Path
    python: Path


def location(lock: Lock) -> BuiltEnvironment:
    """Return where an environment of this lock is, or would be, on this machine."""
    folder = cache_folder() / "environments" / lock.digest
    return BuiltEnvironment(digest=lock.digest, folder=folder, python=folder / "venv" / "bin" / "python")


def build(spec: EnvironmentSpec, lock: Lock, progress: Progress = no_progress) -> BuiltEnvironment:
    """Return the built environment of a lock; one that is missing or damaged is built.

    Args:
        spec: The environment, for its name in messages.
        lock: Its lock.
        progress: Receives a line about the progress.

    Returns:
        The environment. Two callers at once build it once; a killed build leaves nothing that the next trips over.

    Raises:
        InvalidInputError: A package has no build for this machine or does not exist any more.
        IndexUnreachableError: A package had to be downloaded and the index did not answer.
        TrainstackError: The disk is full, Python cannot be had, or a package does not compile.
    """
    built = location(lock)
    # Before the look: `discard` sees either this or that the environment is gone when we look.
    with contextlib.suppress(OSError):
        os.utime(built.folder / _MARKER)
    if find_change(built) is None:
        return built
    with locks.exclusive(
        built.folder.with_name(f"{built.folder.name}.lock"),
        lambda: progress("waiting for another process that builds this environment"),
    ) as lock_fd:
        reason = find_change(built)
        if reason is None:
            return built
        if built.folder.exists():
            progress(f"building again: {reason}")
        began = time.monotonic()
        _build(spec, lock, built, progress, lock_fd)
        progress(f"built {counted(len(lock.packages), 'package')} in {time.monotonic() - began:.1f} s")
    return built


def find_damage(built: BuiltEnvironment) -> str | None:
    """Check whether a built environment is complete, without starting a process.

    Returns:
        The damage in a few words, None for a complete one.
    """
    try:
        marker: dict[str, Any] = json.loads((built.folder / _MARKER).read_bytes())
    except FileNotFoundError:
        return "it was not built to its end" if built.folder.exists() else "it is not there"
    except (OSError, ValueError):
        return "its marker cannot be read"
    if not os.access(built.python, os.X_OK):
        return "its Python interpreter is gone"
    site = built.folder / str(marker.get("site", ""))
    try:
        here = {entry.name for entry in os.scandir(site)}
    except OSError:
        return "its packages are gone"
    missing = [name for name in marker.get("installed", []) if name not in here]
    return f"{missing[0].removesuffix('.dist-info')} is gone from it" if missing else None


def find_change(built: BuiltEnvironment) -> str | None:
    """Check whether a built environment is complete and what it was: `find_damage`, and a look over all its files.

    Returns:
        The damage in a few words, None for a whole one.
    """
    reason = find_damage(built)
    # One that was built before files were sealed stays in use until it is built again.
    return reason or (sealed_files.find_change(built.folder) if is_sealed(built.folder) else None)


def is_sealed(folder: Path) -> bool:
    """Return whether it is known what the files of a built environment were."""
    with contextlib.suppress(OSError, ValueError):
        return bool(json.loads((folder / _MARKER).read_bytes()).get("sealed"))
    return False


def last_used(folder: Path) -> float:
    """When an environment was last used: seconds since the epoch; 0 for an incomplete one."""
    try:
        return (folder / _MARKER).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def distrust(folder: Path) -> None:
    """Have an environment built again when it is used next."""
    (folder / _MARKER).unlink(missing_ok=True)


def discard(folder: Path, unused_since: float) -> bool:
    """Remove an environment that was not used since a time, unless it is being built.

    Args:
        folder: The environment's folder.
        unused_since: Seconds since the epoch.

    Returns:
        Whether it is gone.
    """
    with locks.try_exclusive(folder.with_name(f"{folder.name}.lock")) as mine:
        if not mine:
            return False
        aside = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        if not folder.exists():
            return True
        folder.rename(aside)
        if last_used(aside) >= unused_since:
            # Asked for at this very moment; who finds it missing waits for our lock and looks again.
            aside.rename(folder)
            return False
        shutil.rmtree(aside, ignore_errors=True)
        return True


def _build(spec: EnvironmentSpec, lock: Lock, built: BuiltEnvironment, progress: Progress, lock_fd: int) -> None:
    folder = built.folder
    with disk_errors(folder):
        (folder / _MARKER).unlink(missing_ok=True)
        shutil.rmtree(folder / "venv", ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "requirements.lock", lock.text.encode())
    # uv looks for project settings in the folders above; the first file that it meets ends the search.
    write_bytes(folder / "uv.toml", b"")
    log_path = folder / "build.log"
    with disk_errors(folder), log_path.open("w", encoding="utf-8") as log:
        try:
            if lock.conda:
                _create_conda(lock, folder, progress, log, lock_fd)
            else:
                progress(f"creating a Python {lock.python} environment")
                _run(
                    [uv(), "venv", "--python", interpreter(lock.python), "venv"],
                    folder,
                    no_progress,
                    log,
                    lock_fd,
                )
            _install(lock, built, progress, log, lock_fd)
        except CommandFailedError as exc:
            raise _failure(exc, spec, log_path) from exc
    site = next(folder.glob("venv/lib/python3*/site-packages"))
    progress("sealing its files")
    with disk_errors(folder):
        sealed_files.seal(folder)
    # Every file's bytes reach the disk before the marker's name does, or a power cut could leave a hollow one.
    os.sync()
    write_json(
        folder / _MARKER,
        {
            "site": str(site.relative_to(folder)),
            "installed": sorted(path.name for path in site.glob("*.dist-info")),
            "sealed": True,
        },
    )


def _install(lock: Lock, built: BuiltEnvironment, progress: Progress, log: IO[str], lock_fd: int) -> None:
    pins = [pin for pin in read_lock(lock.text) if pin.applies(lock.python)]
    plain = [pin for pin in pins if pin.name != "horovod"]
    # First, because it is what can fail (no compiler) and what takes longest.
    wheel = horovod_wheel(lock, progress) if len(plain) < len(pins) else None
    if plain:
        progress(f"installing {counted(len(plain), 'package')}")
        _run(install_command(lock, plain, built), built.folder, _uv_progress(progress), log, lock_fd)
    if wheel is not None:
        command = [uv(), "pip", "install", "--no-deps", "--no-index", "--compile-bytecode", *link_options(built.folder)]
        _run([*command, "--python", str(built.python), str(wheel)], built.folder, no_progress, log, lock_fd)


def link_options(folder: Path) -> list[str]:
    """Return how uv puts packages into an environment, so that nobody writes through it to uv's cache.

    A clone shares the cache's blocks until it is written to. Where a folder can have none, uv would make hard links.
    """
    original, trial = folder / ".original", folder / ".clone"
    original.write_bytes(b"clone")
    cloned = clone(original, trial)
    original.unlink()
    trial.unlink(missing_ok=True)
    return ["--link-mode", "clone" if cloned else "copy"]


def install_command(lock: Lock, pins: list[Pin], built: BuiltEnvironment) -> list[str]:
    """Write the pins aside and return the command that installs exactly them, verified by hash."""
    requirements = built.folder / "install.txt"
    write_bytes(requirements, "".join(pin.text for pin in pins).encode())
    # `sync` would remove the Python packages that conda has installed.
    verb = ["install", "--no-deps", "--requirements"] if lock.conda else ["sync"]
    options = ["--require-hashes", "--compile-bytecode", *link_options(built.folder), "--python", str(built.python)]
    return [uv(), "pip", verb[0], *options, *verb[1:], str(requirements)]


def _create_conda(lock: Lock, folder: Path, progress: Progress, log: IO[str], lock_fd: int) -> None:
    tool = conda_tool.need_tool(lock.conda)
    progress(f"creating a conda environment with {tool.name}: {', '.join(lock.conda)}")
    specification = folder / "conda.yaml"
    write_bytes(specification, conda_tool.specification_for_tool(lock.python, lock.conda, lock.channels).encode())
    command = conda_tool.create_command(tool, folder / "venv", specification)
    # Copies, as of uv's packages: conda's cache is everybody's too.
    copies = {"CONDA_ALWAYS_COPY": "true", "MAMBA_ALWAYS_COPY": "true"}
    run(command, folder=folder, on_line=no_progress, log=log, variables=copies, keep_open=lock_fd)


def _run(command: list[str], folder: Path, on_line: Progress, log: IO[str], lock_fd: int) -> None:
    run(command, folder=folder, on_line=on_line, log=log, keep_open=lock_fd)


def _uv_progress(progress: Progress) -> Callable[[str], None]:
    """Pass on the lines of uv that report its progress."""

    def speak(line: str) -> None:
        if line.startswith(("Downloading ", "Building ", "Prepared ", "Installed ", "Bytecode compiled ")):
            progress(line[0].lower() + line[1:])

    return speak


def _failure(exc: CommandFailedError, spec: EnvironmentSpec, log: Path) -> TrainstackError:
    text = " ".join(exc.lines)
    subject = f"environment {spec.name}"
    if any(sign in text for sign in ("No interpreter found", "python-build-standalone", "Invalid version request")):
        return TrainstackError(
            f"{subject}: Python {spec.python} is not installed and uv could not download it: install it, or ask for "
            f"Python {'.'.join(platform.python_version_tuple()[:2])} (see {log})"
        )
    return uv_error(exc, subject, log)
