"""Run uv and other package tools, stream their output, and turn their failures into one line each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from trainstack import process_environment
from trainstack.core.environments.package_index import index_variables
from trainstack.errors import (
    CommandFailedError,
    DigestMismatchError,
    IndexUnreachableError,
    InvalidInputError,
    TrainstackError,
)
from trainstack.storage.cache import cache_folder

Progress = Callable[[str], None]
"""Receives a short line about the progress."""

# A shell's active environment must not decide what a named environment holds.
_DROPPED = (
    "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_OVERRIDE",
    "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_REQUIRE_HASHES", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV",
)  # fmt: skip
_UNREACHABLE = re.compile(
    r"error sending request|dns error|failed to (?:fetch|download|connect)|connection (?:refused|reset|closed)"
    r"|timed? ?out|could not connect|network was disabled|HTTP status (?:server|client) error",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"[Bb]ecause (?P<name>[\w.-]+)(?:\{[^}]*\})? was not found in the (?:package registry|provided)", re.IGNORECASE
)
_NO_VERSION = re.compile(
    r"there (?:is no version of|are no versions of) (?P<what>[^\s{]+)(?:\{[^}]*\})?(?P<rest>[^ ]*)"
)
_COMPILER = re.compile(
    r"\berror:|\bfatal error\b|CMake Error|undefined reference|collect2:|\bld: |No such file or directory|\*\*\* "
)
_SHOWN = 8


def no_progress(_: str) -> None:
    """Ignore progress."""


def uv() -> str:
    """Return the path of uv's program, which comes with our own package."""
    from uv import find_uv_bin

    return find_uv_bin()


def interpreter(python: str) -> str:
    """Return the interpreter for uv: this process's own if its version fits, which saves a search, else the version."""
    ours = ".".join(str(part) for part in sys.version_info[: python.count(".") + 1])
    return sys.executable if ours == python and sys.implementation.name == "cpython" else python


def run(
    command: Sequence[str],
    *,
    folder: Path,
    on_line: Progress = no_progress,
    log: IO[str] | None = None,
    variables: Mapping[str, str] | None = None,
    keep_open: int | None = None,
) -> list[str]:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        folder: Working folder: uv reads project settings from it and above.
        on_line: Is given each line that is printed, as it comes.
        log: Gets the command and its whole output.
        variables: Environment variables besides those of this process that building packages takes: a package's
            build runs code of its own, which sees no credentials of a cloud.
        keep_open: Descriptor of a lock that the command shall hold as well, so that a command that outlives a killed
            caller still keeps others from the folder that it writes.

    Returns:
        The lines that it printed, standard output and error together.

    Raises:
        CommandFailedError: It ended with another code than 0.
    """
    inherited = process_environment.base() | process_environment.selected(process_environment.PACKAGES)
    environment = {key: value for key, value in inherited.items() if key not in _DROPPED}
    if not environment.keys() & {"UV_CACHE_DIR", "XDG_CACHE_HOME"} and not os.access(Path.home(), os.W_OK):
        environment["UV_CACHE_DIR"] = str(cache_folder() / "uv")
    environment.update(index_variables())
    environment.update({"CONDA_ALWAYS_YES": "true", "UV_NO_PROGRESS": "1", "NO_COLOR": "1", **(variables or {})})
    if log is not None:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        pass_fds=() if keep_open is None else (keep_open,),
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if log is not None:
                log.write(line)
                log.flush()
            on_line(line.strip())
    if process.returncode != 0:
        raise CommandFailedError(f"{Path(command[0]).name} ended with code {process.returncode}", lines)
    return lines


def uv_error(failure: CommandFailedError, subject: str, log: Path | None = None) -> TrainstackError:
    """Return a one-line error for a failure of uv.

    Args:
        failure: What `run` raised.
        subject: What was being done, for example `environment mnist`.
        log: File with the whole output, to be named in the message.

    Returns:
        `InvalidInputError` where the packages cannot be had together, `DigestMismatchError` where one is not what was
        locked, `IndexUnreachableError` where the index did not answer, else `TrainstackError`.
    """
    text = _one_line("\n".join(failure.lines))
    see = f" (see {log})" if log is not None else ""
    if re.search(r"No space left on device|os error 28\b|Disk quota exceeded", text):
        return TrainstackError(f"{subject}: disk full: free some space and run again{see}")
    tampered = re.search(r"Hash mismatch for `([^`]+)`", text)
    if tampered:
        return DigestMismatchError(
            f"{subject}: {tampered[1]} on the package index is not the one that was locked (its hash differs): "
            f"look why before you lock it again{see}"
        )
    if "network was disabled" not in text:
        missing = _MISSING.search(text)
        if missing:
            return InvalidInputError(
                f"{subject}: package {missing['name']!r} does not exist on the package index: check its spelling{see}",
                field="packages",
            )
        if "No solution found" in text:
            return InvalidInputError(f"{subject}: {_conflict(text)}{see}", field="packages")
    compiler = compiler_errors(failure.lines)
    if "Failed to build" in text or "build backend" in text:
        tail = "\n".join(compiler or failure.lines[-_SHOWN:])
        return TrainstackError(
            f"{subject}: a package could not be built from its sources{see}; its last lines:\n{tail}"
        )
    if _UNREACHABLE.search(text):
        host = re.search(r"https?://([^/\s`]+)", text)
        address = f" at {host[1].rpartition('@')[2]}" if host else ""
        return IndexUnreachableError(
            f"{subject}: the package index{address} does not answer: check the network, or set UV_DEFAULT_INDEX{see}"
        )
    causes = [line.strip() for line in failure.lines if line.startswith("error") or "cause:" in line]
    reason = _one_line(" ".join(causes or failure.lines[-3:]))
    return TrainstackError(f"{subject}: {_cut(reason.removeprefix('error: ')) or failure}{see}")


def compiler_errors(lines: Sequence[str]) -> list[str]:
    """Return the last lines in which a compiler, linker or CMake says what is wrong."""
    errors = [_cut(line.strip().removeprefix("DEBUG ").strip()) for line in lines if _COMPILER.search(line)]
    return list(dict.fromkeys(errors))[-_SHOWN:]


def _conflict(text: str) -> str:
    version = _NO_VERSION.search(text)
    because = text.partition("ecause ")[2]
    if version and because.startswith("there "):
        return f"there is no version {version['what']}{version['rest']} on the package index: ask for another"
    unbuilt = re.search(r"(?P<what>[^\s{]+)(?:\{[^}]*\})? has no wheels with a matching (?P<why>Python|platform)", text)
    if unbuilt:
        tags = re.search(r"(?:ABI tags?|platforms?): ([`\w, ]+)", text)
        has = f", only for {tags[1].replace('`', '').strip()}" if tags else ""
        where = "Python" if unbuilt["why"] == "Python" else "machine"
        return f"{unbuilt['what']} has no build for this {where}{has}: ask for another version"
    reason = because.partition(" hint: ")[0] or text
    reason = re.sub(r"\{[^}]*\}", "", reason).replace(", we can conclude that your requirements are unsatisfiable", "")
    return f"the packages do not go together: {_cut(reason)}"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub("[\u00d7\u2500-\u257f\u25b6]", " ", text)).strip()


def _cut(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else f"{text[:limit].rstrip()} …"
