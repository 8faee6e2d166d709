"""One line a step: what it does, then how long it took; and one line for what went wrong."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


class SetupError(Exception):
    """Something a person can act on, in one line."""


@contextlib.contextmanager
def step(name: str, what: str) -> Iterator[list[str]]:
    """Print `name: what …` now and the seconds when the block ends.

    Args:
        name: The step, one word.
        what: What it does.

    Yields:
        A list; what is put into it is printed before the seconds.
    """
    print(f"{name + ':':<13}{what} … ", end="", flush=True)
    start, notes = time.monotonic(), list[str]()
    try:
        yield notes
    except BaseException:
        print(f"failed after {time.monotonic() - start:.1f} s", flush=True)
        raise
    print(", ".join([*notes, f"{time.monotonic() - start:.1f} s"]), flush=True)


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    failure: str = "",
) -> None:
    """Run a command with its output in a log file.

    Args:
        command: The command and its arguments.
        log: Where stdout and stderr go, after what is there already.
        cwd: The folder to run in.
        env: The whole environment; ours when not given.
        timeout: Seconds until it is stopped.
        failure: What could not be done, for the error.

    Raises:
        SetupError: It could not start, failed, or took too long; one line that names the log.
    """
    failure = failure or f"`{Path(command[0]).name} {' '.join(map(str, command[1:3]))}` failed"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(map(str, command))}\n".encode())
        out.flush()
        begin = out.tell()
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=env, timeout=timeout
            )
        except subprocess.TimeoutExpired as exc:
            raise SetupError(f"{failure}: no end after {timeout:.0f} s; its output is in {log}") from exc
        except OSError as exc:
            raise SetupError(f"{failure}: cannot start {command[0]} ({exc.strerror})") from exc
    if done.returncode:
        raise SetupError(f"{failure}: {_reason(log, begin) or f'exit {done.returncode}'}; its output is in {log}")


def _reason(log: Path, begin: int) -> str:
    """The line that says most about a failure: the first with `error`, else the last."""
    lines = [line.strip() for line in log.read_bytes()[begin:].decode(errors="replace").splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")[:300]
