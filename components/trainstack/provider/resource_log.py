"""Write to Pulumi's display from the provider: lines in a resource's row, and errors of one line."""

from __future__ import annotations

import functools
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from trainstack.errors import TrainstackError

# The engine redraws rows a few times a second; without a terminal each message is a line, so fewer are kinder.
PROGRESS_SECONDS = 2.0


class ResourceLog:
    """The log of a resource, in its row of Pulumi's display."""

    def __init__(self, urn: str) -> None:
        self._urn = urn
        self._last = 0.0
        self._stage = ""
        self._lock = threading.Lock()

    def progress(self, text: str) -> None:
        """Show a passing line, at most every two seconds unless its first word changes."""
        now = time.monotonic()
        stage = text.split(" ", 1)[0]
        with self._lock:
            if stage == self._stage and now - self._last < PROGRESS_SECONDS:
                return
            self._last, self._stage = now, stage
        _log(self._urn, text, ephemeral=True)

    def info(self, text: str) -> None:
        """Show a line that stays in the summary."""
        _log(self._urn, text, ephemeral=False)

    def warn(self, text: str) -> None:
        """Show a warning that stays in the summary."""
        _log(self._urn, text, ephemeral=False, severity="WARNING")


@functools.cache
def _engine() -> Any:
    """The engine's service, whose address is the provider process's last argument; none outside of one."""
    if not sys.argv or ":" not in sys.argv[-1]:
        return None
    import grpc
    from pulumi.runtime.proto import engine_pb2_grpc

    return engine_pb2_grpc.EngineStub(grpc.insecure_channel(sys.argv[-1]))


def _log(urn: str, text: str, *, ephemeral: bool, severity: str = "INFO") -> None:
    engine = _engine()
    if engine is None or not urn:
        return
    import grpc
    from pulumi.runtime.proto import engine_pb2

    level: Any = engine_pb2.LogSeverity.Value(severity)
    request = engine_pb2.LogRequest(severity=level, message=text, urn=urn, ephemeral=ephemeral)
    try:
        engine.Log(request, timeout=5)
    except grpc.RpcError:
        # A message that cannot be shown (the engine is going) must not end a run that goes on without it.
        return


def one_line_errors(host: ModuleType | None = None) -> None:
    """Make Pulumi's provider process show our errors as their text alone.

    Its servicer answers every exception with `traceback.format_exc()`, which buries the one line that helps. The name
    `traceback` of that module alone is replaced; errors that are not ours keep their trace.

    Args:
        host: The module whose errors to shape; by default this process's main module, when it is Pulumi's.
    """
    host = host or sys.modules.get("__main__")
    if host is None or not hasattr(host, "DynamicResourceProviderServicer"):
        return
    host.__dict__["traceback"] = _Traceback


class _Traceback:
    """As much of the traceback module as Pulumi's provider process uses."""

    @staticmethod
    def format_exc() -> str:
        error = sys.exc_info()[1]
        return str(error) if isinstance(error, TrainstackError) else traceback.format_exc()


Progress = Callable[[str], None]
