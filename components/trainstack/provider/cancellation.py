"""What Ctrl-C means for what is under way, said at once: a run goes on, and how to look at it or stop it.

At the first Ctrl-C the engine tells its providers to cancel, and then waits for what they do without a word.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any

_lock = threading.Lock()
_announcements: list[Callable[[], None]] = []


@contextlib.contextmanager
def announced(announce: Callable[[], None]) -> Generator[None]:
    """Call something when the update is canceled meanwhile.

    Args:
        announce: Says what becomes of what is under way.
    """
    with _lock:
        _announcements.append(announce)
    try:
        yield
    finally:
        with _lock:
            _announcements.remove(announce)


def cancel() -> None:
    """Say what becomes of all that is under way."""
    with _lock:
        announcements = list(_announcements)
    for announce in announcements:
        announce()


def watch_cancellation(host: ModuleType | None = None) -> None:
    """Notice that Pulumi's provider process is told to cancel.

    Its servicer answers `Cancel` with `empty_pb2.Empty()` and does nothing. Its server has bound that method before
    our modules are loaded, so the name `empty_pb2` of that module alone is replaced.

    Args:
        host: The module to watch; by default this process's main module, when it is Pulumi's.
    """
    host = host or sys.modules.get("__main__")
    if host is not None and hasattr(host, "DynamicResourceProviderServicer") and hasattr(host, "empty_pb2"):
        host.__dict__["empty_pb2"] = _Empty(host.__dict__["empty_pb2"])


class _Empty:
    """The module of the empty message, which tells who makes one."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def Empty(self) -> Any:
        if sys._getframe(1).f_code.co_name == "Cancel":  # pyright: ignore[reportPrivateUsage]
            # The engine waits for the answer, a message for the engine.
            threading.Thread(target=cancel, daemon=True, name="cancellation").start()
        return self._module.Empty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
