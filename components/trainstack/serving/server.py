"""The server process: one that supervises, and a worker with the model; see `docs/serving.md`."""

from __future__ import annotations

import ctypes
import fcntl
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.synchronize import Event
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from starlette.applications import Starlette

from .app import load_app
from .listening import PortTakenError, check_free, claim
from .settings import Settings, parse

_log = logging.getLogger("trainstack.serving")
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit code: 0 after SIGTERM (or, detached, once the server is on its way), 1 when it cannot start.
    """
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
    try:
        if not settings.shared:
            check_free(settings.host, settings.port)
    except PortTakenError as exc:
        _log.error("%s", exc)
        return 1
    # The worker is forked: it shares the lock, so that the lock is free only when both are gone.
    multiprocessing.set_start_method("fork", force=True)
    failed = multiprocessing.Event()
    _log.info("loading %s version %d for port %d", settings.model_name, settings.model_version, settings.port)
    server = Granian(
        "trainstack-serving",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=settings.drain,
        log_level=LogLevels.warning,
    )
    server.serve(target_loader=partial(_load, settings, os.getpid(), failed), wrap_loader=False)  # pyright: ignore[reportUnknownMemberType]
    _log.info("stopped")
    return 1 if failed.is_set() else 0


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
        "digest": settings.model_digest,
        "name": settings.model_name,
        "version": settings.model_version,
        "port": settings.port,
        "executable": sys.executable,
    }
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(identity).encode(), 0)


def _load(settings: Settings, supervisor: int, failed: Event) -> Starlette:
    """Make the application, in the worker. What fails here would fail again: end the server, not the worker."""
    # The supervisor's handlers came along with the fork; until Granian sets the worker's own, end at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(supervisor)
    try:
        claimed = claim(settings.host, settings.port)
        app = load_app(settings)
        claimed.close()
        if not settings.shared:
            check_free(settings.host, settings.port)
    except (PortTakenError, ValueError, OSError) as exc:
        _log.error("%s", exc)
    except BaseException:  # noqa: BLE001 (nothing may leave this function but the application)
        _log.exception("the model could not be loaded")
    else:
        _log.info("ready on http://%s:%d/v1/models/%s", settings.host, settings.port, settings.model_name)
        return app
    failed.set()
    os.kill(supervisor, signal.SIGTERM)
    time.sleep(settings.drain)
    os._exit(1)


def _die_with(supervisor: int) -> None:
    """A supervisor that is killed takes its worker along (on Linux; elsewhere `stop` ends the session)."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(1)
