"""One worker process: loads what the supervisor lays ready, answers, and loads anew when that changes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, MutableSequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop

from ..api.router import MetricsPort, Router
from ..http.accepting import Acceptor
from ..http.certificate import Certificate
from ..http.connection import Connection, Connections
from ..http.in_flight import InFlight
from ..http.memory_budget import MemoryBudget
from ..model.model_set import ModelSet, load
from ..monitoring.metrics import Metrics
from ..serving_plan import Plan
from ..settings import Settings
from ..whole_file import write_json

_log = logging.getLogger("trainstack.server")
SERVING, GOOD, ERROR = "serving.json", "serving.good.json", "error.json"
DRAINING, LEAVING = "draining", "leaving"
_WORKER = "worker-{}.json"
_PAUSE = 0.2
# Bytes of a body that whoever asks for metrics may send.
_NO_BODY = 1024
# Descriptors that are for other things than connections: files, libraries, sockets of this process.
_OTHER_DESCRIPTORS = 256
_MOST_DESCRIPTORS = 65_536
# Parameters of mallopt, of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


class Worker:
    """A worker process.

    Args:
        settings: The server's settings.
        state: The folder in which supervisor and workers leave each other word.
        listener: The listening socket, which all workers share.
        scraped: The socket at which this worker answers with metrics alone; None where another does, or none.
        counts: Connections of each worker, in memory that all of them share.
        index: This worker's place in it.
        certificate: What it speaks TLS with; None for plain HTTP.

    Raises:
        ValueError: The model cannot be loaded.
    """

    def __init__(
        self,
        settings: Settings,
        state: Path,
        listener: socket.socket,
        scraped: socket.socket | None,
        counts: MutableSequence[int],
        index: int,
        certificate: Certificate | None,
    ) -> None:
        self._settings = settings
        self._state = state
        self._listener = listener
        self._scraped = scraped
        self._counts = counts
        self._index = index
        self._certificate = certificate
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="predict")
        self._metrics = Metrics(state)
        self._error: dict[str, str] | None = None
        self._handled: set[str] = set()
        self._seen = _changed(state / SERVING)
        try:
            self._plan_digest, models = self._load(state / SERVING, None)
        except (ValueError, OSError, KeyError) as exc:
            if not (state / GOOD).exists():
                raise ValueError(str(exc)) from exc
            # What was laid ready last does not load: this worker replaces a dead one, so serve what that one did.
            _log.error("%s; going on with what was served before", exc)
            self._plan_digest, models = self._load(state / GOOD, None)
        self._budget = MemoryBudget(settings.max_held)
        self._router = Router(settings, models, self._metrics, self._health, self._budget)

    def run(self) -> None:
        """Answer until SIGTERM, and what is under way then."""
        # What is loaded stays: the collector need not look at it again and again, nor stop a request for it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        _keep_memory()
        uvloop.run(self._serve())

    async def _serve(self) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        # Large documents are read and written one at a time: that takes many times their size, which the allocator
        # keeps for each thread, and holds the interpreter's lock anyhow.
        loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="documents"))
        connections = Connections(
            self._router,
            max_body=settings.max_body,
            body_timeout=settings.body_timeout,
            budget=self._budget,
            max_open=min(settings.max_connections, _descriptors() - _OTHER_DESCRIPTORS),
        )
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        connections.tick(loop)
        acceptor = Acceptor(
            self._listener,
            lambda: Connection(connections),
            self._certificate,
            self._counts,
            self._index,
            connections.has_room,
        )
        connections.on_change(acceptor.note)
        acceptor.note(0)
        # The queue before the listening socket is everybody's: one of the workers counts it.
        queue = self._listener if self._index == 0 else None
        self._metrics.in_flight = InFlight(loop, connections, queue).mean
        if self._scraped is not None:
            scrapes = Connections(MetricsPort(self._router), max_body=_NO_BODY, body_timeout=settings.body_timeout)
            scrapes.tick(loop)
            await loop.create_server(lambda: Connection(scrapes), sock=self._scraped)

        remote = None
        if settings.grpc_port is not None:
            # Only where it is asked for: it is a megabyte of threads and memory.
            from ..api.grpc_api import grpc_server

            remote = grpc_server(self._router, _address(settings.host, settings.grpc_port), settings.max_body)
            await remote.start()

        def leave() -> None:
            connections.draining = True

        def retire() -> None:
            acceptor.close()
            leave()

        self._report()
        words = {DRAINING: retire, LEAVING: leave}
        threading.Thread(target=self._watch, args=[loop, words], name="watch", daemon=True).start()
        await stop.wait()
        acceptor.close()
        connections.close_idle()
        end = loop.time() + settings.drain
        if remote is not None:
            await remote.stop(settings.drain)
        while connections.open and loop.time() < end:
            await asyncio.sleep(0.02)
        self._router.finish()
        self._metrics.write()

    def _watch(self, loop: asyncio.AbstractEventLoop, words: Mapping[str, Callable[[], None]]) -> None:
        last = 0.0
        while True:
            time.sleep(_PAUSE)
            try:
                stamp = _changed(self._state / SERVING)
                if stamp != self._seen:
                    self._seen = stamp
                    self._reload(loop)
                for word, act in words.items():
                    if word not in self._handled and (self._state / word).exists():
                        self._handled.add(word)
                        loop.call_soon_threadsafe(act)
                if self._handled or time.monotonic() - last > 1:
                    last = time.monotonic()
                    if self._certificate is not None:
                        self._certificate.refresh()
                    self._router.measure()
                    self._metrics.write()
                    self._report()
            except Exception:  # noqa: BLE001 (whatever it is, the worker must go on watching)
                _log.exception("a worker's watch failed; it goes on")

    def _reload(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            digest, models = self._load(self._state / SERVING, self._router.models)
        except (ValueError, OSError, KeyError) as exc:
            _log.error("%s; going on with what was served before", exc)
            self._error = {"plan": _digest_in(self._state / SERVING), "message": str(exc)}
            self._report()
            return
        switched = threading.Event()

        def switch() -> None:
            self._router.serve(models)
            switched.set()

        loop.call_soon_threadsafe(switch)
        switched.wait()
        self._plan_digest, self._error = digest, None
        self._report()
        _log.info("serving %s", ", ".join(f"version {version.version}" for version in models.plan.versions))

    def _load(self, path: Path, before: ModelSet | None) -> tuple[str, ModelSet]:
        serving: dict[str, Any] = json.loads(path.read_bytes())
        models = load(
            Plan.from_json(serving["plan"]),
            {int(version): Path(folder) for version, folder in serving["conversions"].items()},
            before,
            self._pool,
            threads=self._settings.threads,
            latency=self._settings.latency,
        )
        write_json(self._state / GOOD, serving)
        return serving["digest"], models

    def _report(self) -> None:
        """Write what this worker serves for the supervisor and the other workers."""
        report = {
            "pid": os.getpid(),
            "plan": self._plan_digest,
            "error": self._error,
            "held": self._router.waiting,
            "answered": self._metrics.answered,
        }
        write_json(self._state / _WORKER.format(os.getpid()), report)

    def _health(self) -> dict[str, Any]:
        workers = living_workers(self._state)
        settled = len(workers) == self._settings.workers and {worker["plan"] for worker in workers} == {
            self._plan_digest
        }
        models = self._router.models
        main = models.main
        errors = [worker["error"] for worker in workers if worker["error"]]
        with contextlib.suppress(OSError, ValueError):
            errors.append(json.loads((self._state / ERROR).read_bytes()))
        weights = {version.version: version.weight for version in models.plan.versions}
        return {
            "status": "ok",
            "name": models.plan.name,
            "version": main.plan.version,
            "digest": main.plan.digest,
            "runtime": main.servable.runtime,
            "runtime_reason": main.servable.runtime_reason,
            "unserved": main.servable.unserved,
            "versions": [
                {
                    "version": version,
                    "digest": model.plan.digest,
                    "weight": weights[version],
                    "runtime": model.servable.runtime,
                    "runtime_reason": model.servable.runtime_reason,
                    "unserved": model.servable.unserved,
                }
                for version, model in sorted(models.versions.items())
            ],
            # The process that was started; this one is its worker.
            "server": os.getppid(),
            "workers": len(workers),
            # What all workers serve; null while they change over.
            "plan": self._plan_digest if settled else None,
            "error": errors[-1] if errors else None,
        }


def living_workers(state: Path) -> list[dict[str, Any]]:
    """What the workers that live have said of themselves."""
    reports: list[dict[str, Any]] = []
    for path in state.glob(_WORKER.format("*")):
        with contextlib.suppress(OSError, ValueError):
            report = json.loads(path.read_bytes())
            os.kill(report["pid"], 0)
            reports.append(report)
    return reports


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _keep_memory() -> None:
    """Have the allocator keep what a request's body took for the next one's.

    Given back to the kernel, the pages of a body of 200 kB would be asked for and cleared anew with each request. What
    is free beyond the second bound goes back all the same. See mallopt(3); without it nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(_TRIM_THRESHOLD, 128 << 20)


def _descriptors() -> int:
    """How many files this process may have open; as many as its user may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return most
    return most if soft == resource.RLIM_INFINITY else soft


def _changed(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def _digest_in(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return json.loads(path.read_bytes())["digest"]
    return ""
