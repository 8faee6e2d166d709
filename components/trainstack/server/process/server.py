"""The server process: it keeps the port and the plan, and supervises the workers; see `docs/serving.md`."""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..http.certificate import Certificate
from ..http.listening import PortTakenError, hold, offer, take_over
from ..runtime.conversion import ensure
from ..serving_plan import Plan
from ..settings import Settings, parse
from ..whole_file import write_json
from .supervisor import Supervisor
from .worker import DRAINING, ERROR, SERVING, living_workers

_log = logging.getLogger("trainstack.server")
# Seconds without a request after which the rest of the connections are taken to be idle.
_QUIET = 1.0


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit code: 0 after SIGTERM (or, detached, once the server is on its way), 1 when it cannot start.
    """
    # Until there are workers to end; the first process of a container would not hear it otherwise.
    signal.signal(signal.SIGTERM, _end)
    settings = parse(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    lock = _take_lock(settings)
    if lock is None and settings.lock is not None:
        _log.error("another server holds %s", settings.lock)
        return 1
    if settings.detach:
        if os.fork():
            return 0
        os.setsid()
    if lock is not None:
        _say_who(lock, settings)
    if settings.release is not None:
        os.close(settings.release)
    with tempfile.TemporaryDirectory(prefix="trainstack-serving-") as temporary:
        try:
            return _serve(settings, Path(temporary))
        except (PortTakenError, ValueError, OSError) as exc:
            _log.error("%s", exc)
            return 1


def _end(*_: object) -> None:
    sys.exit(0)


def _serve(settings: Settings, temporary: Path) -> int:
    plan, digest = _read(settings)
    _check_reach(settings, plan)
    certificate = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        certificate = Certificate(settings.tls_certificate, settings.tls_key)
    answering: Callable[[], None] = lambda: None  # noqa: E731
    if settings.takeover is not None:
        holder, answering = take_over(settings.takeover)
    else:
        holder = hold(settings.host, settings.port)
    # What workers say of themselves is of this server alone; conversions outlive it where it is told a folder.
    conversions = (settings.state or temporary) / "conversions"
    _log.info("loading %s for port %d", plan.name, settings.port)
    _lay_ready(plan, digest, conversions, temporary)
    if settings.grpc_port is not None and settings.takeover is None:
        # Its workers share the port, so a stranger on it would not be noticed.
        hold(settings.host, settings.grpc_port).close()
    scraped = None if settings.metrics_port is None else hold(settings.host, settings.metrics_port)
    supervisor = Supervisor(settings, temporary, holder, scraped, certificate)
    if settings.plan_path is not None:
        _thread(_watch_plan, digest, conversions, temporary, settings)
    _thread(_announce, settings, temporary, answering)
    if settings.lock is not None:
        offer(settings.lock.with_suffix(".sock"), holder, lambda: _retire(supervisor, settings, temporary))
    code = supervisor.run()
    _log.info("stopped")
    return code


def _check_reach(settings: Settings, plan: Plan) -> None:
    """Refuse to listen for everybody without a key."""
    try:
        local = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        local = settings.host == "localhost"
    if not local and not plan.key_digests and not settings.open_to_all:
        raise ValueError(
            f"{settings.host} is not this machine alone: give a key (--key-file, or key_digests in the plan), "
            "or --open-to-all"
        )


def _lay_ready(plan: Plan, digest: str, conversions: Path, state: Path) -> None:
    """Convert what a plan names, and lay all ready for the workers."""
    folders = {str(version): str(path) for version, path in ensure(plan, conversions).items()}
    write_json(state / SERVING, {"digest": digest, "plan": plan.to_json(), "conversions": folders})


def _watch_plan(known_digest: str, conversions: Path, state: Path, settings: Settings) -> None:
    """Serve what the plan says, whenever it changes."""
    while True:
        time.sleep(0.2)
        try:
            plan, digest = _read(settings)
            if digest == known_digest:
                continue
        except ValueError as exc:
            _log.error("%s", exc)
            continue
        known_digest = digest
        _log.info("the plan has changed")
        try:
            _check_reach(settings, plan)
            _lay_ready(plan, digest, conversions, state)
            (state / ERROR).unlink(missing_ok=True)
        except Exception as exc:  # noqa: BLE001 (the server goes on with what it serves, and says why)
            _log.error("%s", exc)
            write_json(state / ERROR, {"plan": digest, "message": str(exc)})


def _announce(settings: Settings, state: Path, answering: Callable[[], None]) -> None:
    """Say when all workers answer; then the server before this one need not any more."""
    while len(living_workers(state)) < settings.workers:
        time.sleep(0.05)
    scheme = "https" if settings.tls_certificate else "http"
    _log.info("ready on %s://%s:%d", scheme, settings.host, settings.port)
    answering()


def _retire(supervisor: Supervisor, settings: Settings, state: Path) -> None:
    """Answer what comes on open connections, with word that the next request needs a new one; then end."""
    _log.info("another server has taken over")
    supervisor.handed_over = True
    (state / DRAINING).touch()
    answered, quiet_since = -1, time.monotonic()
    end = time.monotonic() + settings.drain
    while time.monotonic() < end and time.monotonic() - quiet_since < _QUIET:
        time.sleep(0.1)
        workers = living_workers(state)
        total = sum(worker["answered"] for worker in workers)
        if total != answered or any(worker["held"] for worker in workers):
            answered, quiet_since = total, time.monotonic()
    os.kill(os.getpid(), signal.SIGTERM)


def _take_lock(settings: Settings) -> int | None:
    if settings.lock is None:
        return None
    descriptor = os.open(settings.lock, os.O_RDWR | os.O_CREAT, 0o644)
    # Whoever asks whether the lock is held, holds it for a moment.
    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return descriptor
    os.close(descriptor)
    return None


def _say_who(lock: int, settings: Settings) -> None:
    """Write into the lock what it stands for: its holder is this process, and nothing else can be."""
    identity = {
        "pid": os.getpid(),
        "host": settings.host,
        "port": settings.port,
        "executable": sys.executable,
        "arguments": _started_as(settings),
    }
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(identity).encode(), 0)


def _started_as(settings: Settings) -> list[str]:
    """What cannot change while the server runs, to be compared with what is wanted next."""
    options = {
        "--workers": settings.workers,
        "--tls-certificate": settings.tls_certificate,
        "--tls-key": settings.tls_key,
        "--grpc-port": settings.grpc_port,
        "--code": settings.code,
    }
    return [text for option, value in options.items() if value is not None for text in (option, str(value))]


def _thread(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, name=work.__name__, daemon=True).start()


def _read(settings: Settings) -> tuple[Plan, str]:
    """The plan as it is now, and a digest to tell it by.

    Raises:
        ValueError: Its file is not there, or holds none.
    """
    if settings.plan_path is None:
        assert settings.plan is not None  # noqa: S101 (the command line gives one or the other)
        return settings.plan, _digest(json.dumps(settings.plan.to_json()).encode())
    try:
        content = settings.plan_path.read_bytes()
        return Plan.from_json(json.loads(content)), _digest(content)
    except OSError as exc:
        raise ValueError(f"{settings.plan_path}: {exc.strerror}") from exc


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
