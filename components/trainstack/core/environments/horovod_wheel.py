"""Build Horovod's wheel once for each TensorFlow, Python and architecture, and keep it.

Horovod is published as sources only, and its native part is compiled against the TensorFlow that is installed beside
it. uv would build it alone, without TensorFlow, and would hand one build to every TensorFlow there is.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from pathlib import Path
from typing import IO

from trainstack.core.environments.curated_names import FOLDER
from trainstack.core.environments.lock import Lock, tensorflow_of
from trainstack.core.environments.requirements import Pin, read_lock
from trainstack.core.environments.uv_command import (
    Progress,
    compiler_errors,
    interpreter,
    no_progress,
    run,
    uv,
    uv_error,
)
from trainstack.errors import CommandFailedError, InvalidInputError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors, read_json, write_json
from trainstack.storage.cache import cache_folder

_BUILD_LOCK = FOLDER / "horovod-build.lock"
_PERCENT = re.compile(r"\[\s*(\d+)%\]")
_STEP = 5
# Gloo alone: the launcher brings its own rendezvous, so no MPI is needed to build or to run.
FLAGS = {
    "HOROVOD_WITH_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_PYTORCH": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "HOROVOD_WITHOUT_MPI": "1",
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_CPU_OPERATIONS": "GLOO",
    # Horovod's CMake files ask for policies that CMake 4 has dropped.
    "CMAKE_POLICY_VERSION_MINIMUM": "3.5",
}


def horovod_wheel(lock: Lock, progress: Progress = no_progress) -> Path:
    """Return Horovod's wheel for a lock's TensorFlow; it is compiled when this machine has none.

    Args:
        lock: A lock that holds horovod and TensorFlow.
        progress: Receives a line about the progress, with a percentage.

    Returns:
        The wheel in the machine's cache.

    Raises:
        InvalidInputError: There is no TensorFlow in the lock.
        TrainstackError: There is no compiler, or it failed; the message ends with its own last error lines.
    """
    pins = [pin for pin in read_lock(lock.text) if pin.applies(lock.python)]
    folder = cache_folder() / "wheels" / wheel_key(lock)
    wheel_in_cache = _cached_wheel(folder)
    if wheel_in_cache is not None:
        return wheel_in_cache
    with locks.exclusive(
        folder.with_name(f"{folder.name}.lock"), lambda: progress("waiting for another process that builds horovod")
    ) as lock_fd:
        wheel_in_cache = _cached_wheel(folder)
        if wheel_in_cache is not None:
            return wheel_in_cache
        _need_compiler()
        scratch = folder.with_name(f".building-{folder.name}")
        with disk_errors(scratch):
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            scratch.mkdir(parents=True)
            folder.mkdir()
        began = time.monotonic()
        log_path = folder / "build.log"
        with disk_errors(scratch), log_path.open("w", encoding="utf-8") as log:
            try:
                wheel = _compile(lock, pins, scratch, progress, log, lock_fd)
            except CommandFailedError as exc:
                raise _build_error(exc, lock, log_path) from exc
        cached = folder / wheel.name
        with disk_errors(cached):
            shutil.copyfile(wheel, cached)
        write_json(folder / "complete", {"wheel": cached.name, "sha256": digests.of_file(cached)})
        shutil.rmtree(scratch, ignore_errors=True)
        progress(f"built horovod {lock.packages['horovod']} in {time.monotonic() - began:.0f} s, kept for next time")
        return cached


def wheel_key(lock: Lock) -> str:
    """Return what names a wheel: Horovod, TensorFlow, Python and architecture.

    Raises:
        InvalidInputError: There is no TensorFlow in the lock.
    """
    tensorflow = tensorflow_of(lock.packages)
    if tensorflow is None:
        raise InvalidInputError("horovod needs TensorFlow beside it: add tensorflow-cpu==2.15.1", field="packages")
    minor = "".join(lock.python.split(".")[:2])
    return f"horovod-{lock.packages['horovod']}-{'-'.join(tensorflow)}-cp{minor}-{platform.machine()}"


def _cached_wheel(folder: Path) -> Path | None:
    try:
        record = read_json(folder / "complete")
        wheel = folder / record["wheel"]
        return wheel if digests.of_file(wheel) == record["sha256"] else None
    except (OSError, KeyError, TrainstackError):
        return None


def _compile(lock: Lock, pins: list[Pin], scratch: Path, progress: Progress, log: IO[str], lock_fd: int) -> Path:
    python = scratch / "venv" / "bin" / "python"
    (scratch / "beside.txt").write_text("".join(pin.text for pin in pins if pin.name != "horovod"))
    (scratch / "horovod.txt").write_text("".join(pin.text for pin in pins if pin.name == "horovod"))
    progress("preparing to build horovod: TensorFlow and CMake aside")
    install = [uv(), "pip", "install", "--require-hashes", "--no-deps", "--python", str(python), "--requirements"]
    for command in (
        [uv(), "venv", "--python", interpreter(lock.python), "venv"],
        [*install, "beside.txt"],
        [*install, str(_BUILD_LOCK)],
    ):
        run(command, folder=scratch, log=log, keep_open=lock_fd)
    variables = {
        **FLAGS,
        "MAKEFLAGS": f"-j{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1}",
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    # A cache folder of its own: uv's usual one would find a build against another TensorFlow, and the wheel is
    # looked for in it. Only with --verbose does uv pass on what CMake says while it says it.
    run(
        [*install, "horovod.txt", "--verbose", "--no-build-isolation", "--no-binary", "horovod", "--cache-dir", "uv"],
        folder=scratch,
        on_line=_percentage(lock, progress),
        log=log,
        variables=variables,
        keep_open=lock_fd,
    )
    wheels = sorted((scratch / "uv").rglob("horovod-*.whl"))
    if not wheels:
        raise TrainstackError("uv built horovod but kept no wheel of it: take the uv version of our requirements lock")
    return wheels[0]


def _percentage(lock: Lock, progress: Progress) -> Progress:
    tensorflow = tensorflow_of(lock.packages) or ("TensorFlow", "")
    compiling = f"compiling horovod {lock.packages['horovod']} for {tensorflow[0]} {tensorflow[1]}"
    last = -_STEP

    def report(line: str) -> None:
        nonlocal last
        percent = _PERCENT.search(line)
        if percent and int(percent[1]) >= last + _STEP:
            last = int(percent[1])
            progress(f"{compiling}: {last} %")

    return report


def _need_compiler() -> None:
    compiler = os.environ.get("CXX", "").split()
    if not any(shutil.which(name) for name in (*compiler[:1], "c++", "g++", "clang++")):
        raise TrainstackError("horovod is compiled here and there is no C++ compiler: install g++ (or name one in CXX)")
    if not shutil.which("make"):
        raise TrainstackError("horovod is compiled here and there is no make: install make")


def _build_error(exc: CommandFailedError, lock: Lock, log: Path) -> TrainstackError:
    errors = compiler_errors(exc.lines)
    if not errors:
        return uv_error(exc, f"horovod {lock.packages['horovod']}", log)
    last_lines = "\n".join(errors)
    return TrainstackError(f"horovod {lock.packages['horovod']} does not compile (see {log}):\n{last_lines}")
