"""Data capture: a share of the requests, with what was answered, kept as JSON lines for training and for looking at.

A thread writes; when it cannot keep up, requests are left out and counted, never held up.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ..codec.prediction_response import to_json
from ..codec.tensors import Array
from ..http.errors import HttpError
from ..model.model_set import InferenceCall
from .metrics import Metrics

_log = logging.getLogger("trainstack.server")
# A file is closed and another begun at this size; the oldest go, so that no disk is filled.
_FILE_BYTES = 16 * 2**20
_FILES = 64
_WAITING = 256
# Seconds between two warnings that requests are not kept: a full disk must not be filled with them.
_QUIET = 60.0


class Capture:
    """Keeps requests.

    Args:
        metrics: Where kept and left out requests are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._share = 0.0
        self._folder: Path | None = None
        self._waiting: queue.Queue[tuple[Path, str, InferenceCall, Mapping[str, Array]]] = queue.Queue(_WAITING)
        self._file: Path | None = None
        self._warned = float("-inf")
        threading.Thread(target=self._write_all, name="capture", daemon=True).start()

    def set(self, share: float, folder: str | None) -> None:
        """Keep another share from now on."""
        self._share = share if folder else 0.0
        self._folder = Path(folder) if folder else None

    def offer(self, call: InferenceCall, outputs: Mapping[str, Array]) -> None:
        """Keep a request, if it is its turn."""
        if not self._share or random.random() >= self._share or self._folder is None:  # noqa: S311 (a sample, no secret)
            return
        try:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._waiting.put_nowait((self._folder, now, call, outputs))
        except queue.Full:
            self._metrics.add("captured", call.model.plan.version, "left out")

    def finish(self, seconds: float) -> None:
        """Write what waits, for so long at most."""
        end = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.01)

    def _write_all(self) -> None:
        while True:
            folder, now, call, outputs = self._waiting.get()
            version = call.model.plan.version
            try:
                self._write(folder, _line(now, call, outputs))
                self._metrics.add("captured", version, "kept")
            except Exception as exc:  # noqa: BLE001 (whatever it is, the thread must go on with the next)
                self._metrics.add("captured", version, "failed")
                if time.monotonic() - self._warned > _QUIET:
                    self._warned = time.monotonic()
                    _log.warning("requests are not kept: %s", exc)
            finally:
                self._waiting.task_done()

    def _write(self, folder: Path, line: bytes) -> None:
        file = self._file
        if file is None or file.parent != folder or not file.exists() or file.stat().st_size > _FILE_BYTES:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for old in sorted(folder.glob("*.jsonl"))[: -_FILES + 1]:
                old.unlink(missing_ok=True)
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            file = self._file = folder / f"{stamp}-{os.getpid()}.jsonl"
        # What clients send is nobody else's business.
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            written = os.write(descriptor, line)
            if written < len(line):
                # The disk is full: no half line, which would spoil the next one too.
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        finally:
            os.close(descriptor)


def _line(now: str, call: InferenceCall, outputs: Mapping[str, Array]) -> bytes:
    plan = call.model.plan
    about: dict[str, Any] = {
        "time": now,
        "version": plan.version,
        "digest": plan.digest,
        "signature_name": call.prediction.signature.name,
    }
    # Both in column form, so that a line's inputs can be posted again as they are.
    inputs = {f"{name}": tensor for name, tensor in call.prediction.tensors.items()}
    return b"%b,%b,%b}\n" % (
        orjson.dumps(about)[:-1],
        _columns("inputs", inputs),
        _columns("outputs", outputs),
    )


def _columns(key: str, tensors: Mapping[str, Array]) -> bytes:
    """`"inputs":{…}`: always by name, with strings as base64 where they are no text."""
    parts = [orjson.dumps(name) + b":" + _value(name, tensor) for name, tensor in tensors.items()]
    return b'"%b":{%b}' % (key.encode(), b",".join(parts))


def _value(name: str, tensor: Array) -> bytes:
    try:
        return to_json({name: tensor}, rows=False)[len(b'{"outputs":') : -1]
    except HttpError:
        return to_json({f"{name}_bytes": tensor}, rows=False)[len(b'{"outputs":') : -1]
