"""Server processes: started in a session of their own, found again by the lock that each holds, ended by it.

Each server holds one file of the service's `instances/` locked for as long as it lives, and says in it who it is. The
kernel lets go of the lock when the process is gone, however it went. A process id is used only while the lock that
names it is held, so no foreign process is ever signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.lifecycle.model_record import ModelRecord
from trainstack.store.atomic import disk_errors, write_json

_SERVER = Path(__file__).parents[1] / "serving"
_TAIL = 20
# The server gets no secret and nothing that changes what it imports: only these variables go along.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("CUDA_", "NVIDIA_", "TF_", "XLA_")


@dataclass(frozen=True)
class Instance:
    """A living server process.

    Attributes:
        lock: The file that it holds.
        pid: Its process, which leads a session of its own.
        digest: Digest of the model that it was started for.
        version: That model's version.
        name: That model's name.
        port: The port that it was given.
        python: The interpreter that runs it.
    """

    lock: Path
    pid: int
    digest: str
    version: int
    name: str
    port: int
    python: str

    @property
    def alive(self) -> bool:
        """Whether the process, or its worker, still holds its lock."""
        return _held(self.lock)

    def serves(self, model: ModelRecord, python: Path) -> bool:
        """Whether it was started for this model, by this interpreter."""
        wanted = (model.name, model.version, model.digest, str(python))
        return (self.name, self.version, self.digest, self.python) == wanted


def living(folder: Path) -> list[Instance]:
    """The servers of a service that live, oldest first."""
    found: list[tuple[float, Instance]] = []
    for lock in (folder / "instances").glob("*.lock"):
        with contextlib.suppress(FileNotFoundError):
            instance = _identify(lock)
            if instance is not None:
                found.append((lock.stat().st_mtime, instance))
    return [instance for _, instance in sorted(found, key=lambda entry: entry[0])]


def sweep(folder: Path) -> None:
    """Remove what dead servers left; only for whoever holds the service's own lock."""
    for lock in (folder / "instances").glob("*.lock"):
        if not _held(lock):
            lock.with_suffix(".json").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def launch(
    folder: Path, model: ModelRecord, python: Path, *, port: int, host: str, shared: bool, drain: int, held: int
) -> Instance:
    """Start a server and return once it is on its own; it still has to load the model.

    Args:
        folder: The service's folder.
        model: What to serve.
        python: The interpreter of a serving environment.
        port: The port to listen on.
        host: The address to listen on.
        shared: Whether another server of this service listens there already.
        drain: Seconds for requests in flight at its end.
        held: Descriptor of the service's lock: kept open by the starting process until it holds a lock of its own,
            so that whoever comes after a killed `up` finds it.

    Raises:
        TrainstackError: It did not come up.
    """
    lock = folder / "instances" / f"{secrets.token_hex(4)}.lock"
    command = [str(python), str(_SERVER), "--model-path", model.path, "--model-name", model.name]
    command += ["--model-version", str(model.version), "--model-digest", model.digest]
    command += ["--host", host, "--port", str(port), "--threads", str(threads(model)), "--drain", str(drain)]
    command += ["--lock", str(lock), "--detach", "--release", str(held)]
    if shared:
        command.append("--shared")
    with disk_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        if model.sample_input is not None:
            sample = lock.with_suffix(".json")
            write_json(sample, model.sample_input)
            command += ["--sample-input", str(sample)]
        log = (folder / "log.txt").open("ab")
    with log:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=_environment(),
                start_new_session=True,
                pass_fds=(held,),
                check=False,
            ).returncode
        except OSError as exc:
            raise TrainstackError(f"cannot run {python}: {exc.strerror}; build its environment again") from exc
    instance = _identify(lock) if code == 0 else None
    if instance is None:
        raise TrainstackError(f"the server ended at once with code {code}")
    return instance


def terminate(instances: list[Instance], *, drain: float) -> None:
    """End servers: SIGTERM, time to finish what is in flight, then SIGKILL for their whole session.

    Raises:
        TrainstackError: One does not go away.
    """
    for instance in instances:
        _signal(instance, os.kill, signal.SIGTERM)
    # Granian ends a worker that does not drain; this is for a server that cannot even do that.
    for _ in _until(drain + 5):
        if not any(instance.alive for instance in instances):
            return
    for instance in instances:
        _signal(instance, os.killpg, signal.SIGKILL)
    for _ in _until(10):
        if not any(instance.alive for instance in instances):
            return
    pids = ", ".join(str(instance.pid) for instance in instances if instance.alive)
    raise TrainstackError(
        f"the server process {pids} does not end, not even by SIGKILL: end it by hand, then run again"
    )


def answer(host: str, port: int, *, timeout: float = 2.0) -> dict[str, Any] | None:
    """What a server says of itself at `/healthz`; None when none of ours answers."""
    import httpx

    try:
        # Without the proxies of the environment: it is on this machine.
        with httpx.Client(trust_env=False, timeout=timeout) as client:
            found = client.get(f"http://{host}:{port}/healthz").json()
    except (httpx.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) and "digest" in found else None  # pyright: ignore[reportUnknownVariableType]


def tail(log: Path, start: int) -> list[str]:
    """The last lines that were written to a log after an offset."""
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 2**16))
        return file.read().decode(errors="replace").splitlines()[-_TAIL:]
    return []


def _held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _identify(lock: Path) -> Instance | None:
    """Who holds a lock; None when nobody does. A server says who it is a moment after it takes the lock."""
    for _ in _until(10):
        if not _held(lock):
            return None
        with contextlib.suppress(ValueError, KeyError):
            found = json.loads(lock.read_bytes())
            return Instance(
                lock=lock,
                pid=found["pid"],
                digest=found["digest"],
                version=found["version"],
                name=found["name"],
                port=found["port"],
                python=found["executable"],
            )
    raise TrainstackError(f"{lock} is held by a process that does not say who it is: end it, then run again")


def _signal(instance: Instance, send: Callable[[int, int], None], number: signal.Signals) -> None:
    """Signal a server; its id is its own for as long as its lock is held."""
    if instance.alive:
        with contextlib.suppress(ProcessLookupError):
            send(instance.pid, number)


def _until(seconds: float) -> Iterator[None]:
    """Tick until a time has passed, at least once."""
    end = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() > end:
            return
        time.sleep(0.05)


def threads(model: ModelRecord) -> int:
    """Threads for a model's server: few by default, since services share the machine with training."""
    cores = os.cpu_count() or 1
    asked = model.resource_configuration.cpu if model.resource_configuration else 2
    return max(1, min(cores, math.ceil(asked)))


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith(_KEPT_PREFIXES)}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
