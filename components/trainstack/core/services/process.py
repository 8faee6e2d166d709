"""Server processes: started in a session of their own, found again by the lock that each holds, ended by it.

Each server holds one file of the service's `instances/` locked for as long as it lives, and says in it who it is. The
kernel lets go of the lock when the process is gone, however it went. A process id is used only while the lock that
names it is held, so no foreign process is ever signalled.
"""

from __future__ import annotations

import contextlib
import hashlib
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

from trainstack.core.models.model_record import ModelRecord
from trainstack.core.services import server_code
from trainstack.core.services.record import ServiceSpec
from trainstack.errors import TrainstackError
from trainstack.server.serving_plan import Plan
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors, read_json, write_json
from trainstack.storage.log_file import open_log

_TAIL = 20
# The server gets no secret and nothing that changes what it imports: only these variables go along.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_INHERITED_PREFIXES = ("CUDA_", "NVIDIA_", "TF_", "XLA_")


@dataclass(frozen=True)
class Instance:
    """A living server process.

    Attributes:
        lock: The file that it holds.
        pid: Its process, which leads a session of its own.
        host: The address that it was given.
        port: The port that it was given.
        python: The interpreter that runs it.
        arguments: What else it was started with that cannot change while it runs.
    """

    lock: Path
    pid: int
    host: str
    port: int
    python: str
    arguments: list[str]

    @property
    def alive(self) -> bool:
        """Whether the process, or a worker of it, still holds its lock."""
        return locks.is_locked(self.lock)

    @property
    def plan(self) -> Path:
        """The document that says what it serves, which it watches."""
        return self.lock.with_suffix(".plan.json")

    @property
    def hands_over(self) -> bool:
        """Whether it is far enough to give its listening socket to the next server."""
        return self.lock.with_suffix(".sock").exists()

    @property
    def served(self) -> set[tuple[str, int]]:
        """Name and number of each model version that it is told to serve."""
        plan = Plan.from_json(read_json(self.plan))
        return {(plan.name, version.version) for version in plan.versions}

    @property
    def plan_digest(self) -> str:
        """How the server names that document."""
        return hashlib.sha256(self.plan.read_bytes()).hexdigest()


def living(folder: Path) -> list[Instance]:
    """The servers of a service that live, oldest first."""
    instances: list[tuple[float, Instance]] = []
    for lock in (folder / "instances").glob("*.lock"):
        with contextlib.suppress(FileNotFoundError):
            instance = _identify(lock)
            if instance is not None:
                instances.append((lock.stat().st_mtime, instance))
    return [instance for _, instance in sorted(instances, key=lambda entry: entry[0])]


def is_alive(folder: Path) -> bool:
    """Whether a service has a server, one that is just starting included."""
    return any(locks.is_locked(lock) for lock in (folder / "instances").glob("*.lock"))


def sweep(folder: Path) -> None:
    """Remove what dead servers left; only for whoever holds the service's own lock."""
    for lock in (folder / "instances").glob("*.lock"):
        if not locks.is_locked(lock):
            for other in (lock.with_suffix(".plan.json"), lock.with_suffix(".sock"), lock):
                other.unlink(missing_ok=True)


def workers(spec: ServiceSpec, model: ModelRecord) -> int:
    """Processes that answer for a model: few by default, since services share the machine with training."""
    cores = model.resource_configuration.cpu if model.resource_configuration else 2
    return spec.workers or max(1, min(os.cpu_count() or 1, math.ceil(cores)))


def arguments(spec: ServiceSpec, model: ModelRecord) -> list[str]:
    """What a server is started with that cannot change while it runs: its workers, certificate and gRPC."""
    tls = ["--tls-certificate", spec.tls_certificate, "--tls-key", spec.tls_key] if spec.tls_certificate else []
    remote = ["--grpc-port", str(spec.grpc_port)] if spec.grpc_port else []
    # Another version of the server itself is another server.
    return ["--workers", str(workers(spec, model)), *map(str, tls), *remote, "--code", server_code.code_digest()]


def launch(
    folder: Path,
    plan: Plan,
    python: Path,
    *,
    spec: ServiceSpec,
    port: int,
    fixed_arguments: list[str],
    before: Instance | None,
    lock_descriptor: int,
) -> Instance:
    """Start a server and return once it is on its own; it still has to load the model.

    Args:
        folder: The service's folder.
        plan: What to serve.
        python: The interpreter of a serving environment.
        spec: How the service is asked for.
        port: The port to listen on.
        fixed_arguments: What `arguments` gave.
        before: A server whose listening socket it takes over, so that no connection is lost; None for a new one.
        lock_descriptor: Descriptor of the service's lock: kept open by the starting process until it holds a lock of
            its own, so that whoever comes after a killed `up` finds it.

    Raises:
        TrainstackError: It did not come up.
    """
    lock = folder / "instances" / f"{secrets.token_hex(4)}.lock"
    document = lock.with_suffix(".plan.json")
    command = [str(python), str(server_code.FOLDER), "--plan", str(document), "--host", spec.host, "--port", str(port)]
    command += [*fixed_arguments, "--state", str(folder), "--drain", str(spec.drain_timeout)]
    command += ["--lock", str(lock), "--detach", "--release", str(lock_descriptor)]
    if before is not None:
        command += ["--takeover", str(before.lock.with_suffix(".sock"))]
    with disk_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        write_json(document, plan.to_json())
        log = open_log(folder / "log.txt")
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
                pass_fds=(lock_descriptor,),
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


def await_end(instances: list[Instance], seconds: float) -> None:
    """Wait until servers have ended by themselves, for so long at most."""
    for _ in _until(seconds):
        if not any(instance.alive for instance in instances):
            return


def answer(host: str, port: int, *, tls: bool = False, timeout: float = 2.0) -> dict[str, Any] | None:
    """What a server says of itself at `/healthz`; None when none of ours answers."""
    import httpx

    # A server that listens everywhere is asked on this machine.
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    address = f"[{reached}]" if ":" in reached else reached
    try:
        # Without the proxies of the environment: it is on this machine. Nothing secret is sent, and who answers is
        # told by its process, so the certificate need not name this address.
        with httpx.Client(trust_env=False, timeout=timeout, verify=False) as client:  # noqa: S501
            health = client.get(f"{'https' if tls else 'http'}://{address}:{port}/healthz").json()
    except (httpx.HTTPError, ValueError):
        return None
    return health if isinstance(health, dict) and "digest" in health else None  # pyright: ignore[reportUnknownVariableType]


def tail(log: Path, start: int) -> list[str]:
    """The last lines that were written to a log after an offset."""
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 2**16))
        return file.read().decode(errors="replace").splitlines()[-_TAIL:]
    return []


def _identify(lock: Path) -> Instance | None:
    """Who holds a lock; None when nobody does. A server says who it is a moment after it takes the lock."""
    for _ in _until(10):
        if not locks.is_locked(lock):
            return None
        with contextlib.suppress(ValueError, KeyError):
            identity = json.loads(lock.read_bytes())
            return Instance(
                lock=lock,
                pid=identity["pid"],
                host=identity["host"],
                port=identity["port"],
                python=identity["executable"],
                arguments=identity["arguments"],
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


def _environment() -> dict[str, str]:
    inherited = {
        key: value for key, value in os.environ.items() if key in _INHERITED or key.startswith(_INHERITED_PREFIXES)
    }
    return {**inherited, "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
