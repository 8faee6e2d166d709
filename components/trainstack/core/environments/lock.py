"""Lock an environment: every package pinned and hashed, for any machine, resolved once."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from trainstack.abbreviation import counted
from trainstack.core.environments import conda, conda_tool
from trainstack.core.environments.requirements import Pin, check_lock_covers, read_lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.environments.uv_command import Progress, no_progress, run, uv, uv_error
from trainstack.errors import CommandFailedError, InvalidInputError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.atomic import disk_errors, write_json
from trainstack.storage.cache import cache_folder

_HOROVOD_TENSORFLOW = (2, 16)
_TENSORFLOWS = ("tensorflow-cpu", "tensorflow", "tensorflow-gpu", "tensorflow-rocm")


class Lock(BaseModel):
    """An environment's packages, exactly.

    Attributes:
        python: Python version of the environment.
        packages: Normalised name to version, those that apply on this machine.
        text: The lock as uv and pip read it: pins with hashes, no index address.
        digest: Hex SHA-256 over the Python version and the pins. Hashes verify, they do not name.
        conda: Conda packages as written, for micromamba or conda; not pinned.
        channels: Where those come from.
        image: The image by digest, for an environment that is one.
        files: Digest by path of a Dockerfile's context, for an environment that is built from one.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    python: str
    packages: dict[str, str]
    text: str
    digest: str
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    image: str = ""
    files: dict[str, str] = {}


def lock(
    spec: EnvironmentSpec,
    cache: Path | None = None,
    progress: Progress = no_progress,
    *,
    retries: int | None = None,
    here: bool = True,
) -> Lock:
    """Return the lock of an environment: remembered, brought along, or resolved now.

    Args:
        spec: The environment.
        cache: The machine's cache folder, if not the usual one.
        progress: Receives a line about the progress.
        retries: How often uv asks the index again; its own default when None. 0 suits a preview.
        here: Whether it is built on this machine, where conda packages need a tool.

    Returns:
        The lock. For an unchanged spec that is one file read.

    Raises:
        InvalidInputError: A package does not exist, or the packages do not go together.
        IndexUnreachableError: It had to be resolved and the package index did not answer.
        TrainstackError: Conda packages are asked for and there is no tool for them.
    """
    locked = _read_cached(spec, cache)
    if locked is None and spec.lock is not None:
        locked = _lock_of_text(spec, spec.lock)
        # Only to be quicker the next time: a cache that cannot be written takes nothing away.
        with contextlib.suppress(TrainstackError):
            write_json(_cache_path(spec, cache), locked.model_dump(mode="json"))
    if locked is None:
        progress(f"resolving {counted(len(spec.requirements), 'package')} for Python {spec.python}")
        locked = _lock_of_text(spec, resolve(spec, retries=retries))
        write_json(_cache_path(spec, cache), locked.model_dump(mode="json"))
    if locked.conda and here:
        conda_tool.need_tool(locked.conda)
    return locked


def cached_lock(spec: EnvironmentSpec, cache: Path | None = None) -> Lock | None:
    """Return the lock if the cache or the spec holds it; never uses the network.

    Raises:
        InvalidInputError: The lock that the spec brings along does not hold what it asks for.
    """
    locked = _read_cached(spec, cache)
    if locked is None and spec.lock is not None:
        return _lock_of_text(spec, spec.lock)
    return locked


def _read_cached(spec: EnvironmentSpec, cache: Path | None) -> Lock | None:
    try:
        return Lock.model_validate_json(_cache_path(spec, cache).read_bytes())
    except (OSError, ValidationError):
        # Not there, or cut short by a full disk: locking again mends both.
        return None


def resolve(spec: EnvironmentSpec, *, retries: int | None = None) -> str:
    """Ask the package index which versions go together; the cache is not read.

    Args:
        spec: The environment.
        retries: How often uv asks the index again; its own default when None.

    Returns:
        The lock's text, for Linux on any architecture, and for macOS where this machine is one.

    Raises:
        InvalidInputError: A package does not exist, or the packages do not go together.
        IndexUnreachableError: The package index did not answer.
    """
    if not spec.requirements:
        return ""
    scratch = cache_folder() / "locks"
    with disk_errors(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
    # uv takes project settings from the working folder and those above: the user's must not change what a spec means.
    with tempfile.TemporaryDirectory(prefix=".resolving-", dir=scratch) as name:
        folder = Path(name)
        systems = ["linux"] + (["darwin"] if sys.platform == "darwin" else [])
        minor = ".".join(spec.python.split(".")[:2])
        marks = [f"sys_platform == '{system}' and python_version == '{minor}'" for system in systems]
        (folder / "pyproject.toml").write_text(f"[tool.uv]\nenvironments = {marks}\n")
        (folder / "requirements.in").write_text("".join(f"{line}\n" for line in spec.requirements))
        command = [
            uv(), "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate",
            "--no-emit-index-url", "--no-emit-find-links", "--python-version", spec.python,
            "--python", sys.executable, "--output-file", "requirements.lock", "requirements.in",
        ]  # fmt: skip
        if spec.constraints:
            (folder / "constraints.txt").write_text("".join(f"{line}\n" for line in spec.constraints))
            command += ["--constraint", "constraints.txt"]
        if _takes_cpu_build(spec.requirements):
            (folder / "overrides.txt").write_text("tensorflow ; sys_platform == 'none'\n")
            command += ["--override", "overrides.txt"]
        try:
            run(command, folder=folder, variables={} if retries is None else {"UV_HTTP_RETRIES": str(retries)})
        except CommandFailedError as exc:
            raise uv_error(exc, f"environment {spec.name}") from exc
        return _simplify_markers((folder / "requirements.lock").read_text("utf-8"), minor, systems)


def tensorflow_of(packages: dict[str, str]) -> tuple[str, str] | None:
    """Return the TensorFlow among locked packages, as (name, version), None where there is none."""
    return next(((name, packages[name]) for name in _TENSORFLOWS if name in packages), None)


def _takes_cpu_build(requirements: tuple[str, ...]) -> bool:
    """Whether tensorflow-cpu takes the place of tensorflow.

    Packages such as tf-keras depend on `tensorflow` by that name. Beside tensorflow-cpu it would be installed too,
    into the same files.
    """
    names = {re.split(r"[^a-z0-9-]", line, maxsplit=1)[0] for line in requirements}
    return "tensorflow-cpu" in names and "tensorflow" not in names


def _cache_path(spec: EnvironmentSpec, cache: Path | None) -> Path:
    return (cache or cache_folder()) / "locks" / f"{sys.platform}-{spec.digest}.json"


def _lock_of_text(spec: EnvironmentSpec, text: str) -> Lock:
    pins = read_lock(text)
    check_lock_covers(pins, spec.requirements, spec.python)
    packages = {pin.name: pin.version for pin in pins if pin.applies(spec.python)}
    _check_horovod(spec.name, packages)
    native = spec.conda_packages
    channels = conda.split_specification(spec.conda).channels if native and spec.conda is not None else ()
    return Lock(
        python=spec.python,
        packages=packages,
        text="".join(pin.text for pin in sorted(pins, key=lambda pin: pin.line)),
        digest=_digest(spec.python, pins, native, channels),
        conda=native,
        channels=channels,
    )


def _digest(python: str, pins: tuple[Pin, ...], native: tuple[str, ...], channels: tuple[str, ...]) -> str:
    content: dict[str, object] = {"python": python, "packages": sorted(pin.line for pin in pins)}
    if native:
        content |= {"conda": list(native), "channels": list(channels)}
    return digests.of_json(content)


def _check_horovod(name: str, packages: dict[str, str]) -> None:
    if "horovod" not in packages:
        return
    tensorflow = tensorflow_of(packages)
    if tensorflow is None:
        raise InvalidInputError(
            f"environment {name}: horovod needs TensorFlow beside it: add tensorflow-cpu==2.15.1", field="packages"
        )
    version = tuple(int(part) for part in tensorflow[1].split(".")[:2])
    if version >= _HOROVOD_TENSORFLOW:
        raise InvalidInputError(
            f"environment {name}: horovod {packages['horovod']} does not work with {tensorflow[0]} {tensorflow[1]} "
            "(Keras 3 breaks it, and it does not build): take tensorflow-cpu==2.15.1",
            field="packages",
        )


def _simplify_markers(text: str, minor: str, systems: list[str]) -> str:
    """Drop from each marker what is true wherever the lock is used, so that only real conditions stay."""
    following = f"{minor.rpartition('.')[0]}.{int(minor.rpartition('.')[2]) + 1}"
    always = {
        f"python_full_version < '{following}'",
        f"python_full_version >= '{minor}'",
        f"python_full_version == '{minor}.*'",
        *([f"sys_platform == '{systems[0]}'"] if len(systems) == 1 else []),
    }

    def simpler(marker: re.Match[str]) -> str:
        clauses = marker[1].split(" and ")
        if " or " in marker[1]:
            return marker[0]
        conditions = [clause for clause in clauses if clause not in always]
        return f" ; {' and '.join(conditions)}" if conditions else ""

    return re.sub(r" ; ([^\\\n]+?)(?=\s*(?:\\?\n|$))", simpler, text)
