"""End the provider process when its engine has died: an engine that is killed cannot end it."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time
from types import ModuleType

CHECK_SECONDS = 2.0
MISSES = 3


def end_with_engine(host: ModuleType | None = None) -> bool:
    """Watch the engine from a thread, if this is Pulumi's provider process.

    Runs go on without this process: their supervisors are daemons. Its own work can stop at any point, because every
    file is written under another name first.

    Args:
        host: The module that identifies the provider process; by default the main module.

    Returns:
        Whether there is an engine to watch.
    """
    host = host or sys.modules.get("__main__")
    address, _, port = sys.argv[-1].rpartition(":") if sys.argv else ("", "", "")
    if host is None or not hasattr(host, "DynamicResourceProviderServicer") or not port.isdigit():
        return False
    threading.Thread(target=_watch, args=(address, int(port)), daemon=True, name="engine").start()
    # The engine waits for its providers. When it asks this one to end, and no verb is under way any more, there is
    # nothing left to clean up, and finalizing the interpreter would only make every preview longer.
    atexit.register(os._exit, 0)
    return True


def _watch(address: str, port: int) -> None:
    missed = 0
    while missed < MISSES:
        time.sleep(CHECK_SECONDS)
        try:
            socket.create_connection((address, port), timeout=CHECK_SECONDS).close()
            missed = 0
        except ConnectionRefusedError:
            # A slow engine takes its time; only one that does not listen any more refuses.
            missed += 1
        except OSError:
            continue
    os._exit(1)
