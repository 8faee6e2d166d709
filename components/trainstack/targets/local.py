"""Nodes as process groups of this machine.

A node's agent is told to end when the process that started it dies, so a killed supervisor leaves no worker behind.
What escapes even that is found by a variable that every process of a run carries, and ended by `sweep`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from trainstack.errors import TrainstackError
from trainstack.targets import NodeSpec

MARKER = "TRAINSTACK_RUN_DIRECTORY"

# Of the submitting shell only these reach a run: enough to find programs, certificates, proxies and GPUs, and nothing
# that makes a run depend on who submitted it, or hands it somebody's credentials.
PASSED_ON = (
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
)
_PR_SET_PDEATHSIG = 1


class LocalNode:
    """A node's agent as a child process."""

    def __init__(self, process: subprocess.Popen[bytes], marker: Path) -> None:
        self._process = process
        self._marker = marker

    def poll(self) -> int | None:
        """Exit code of the agent, negative for a signal; none while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM to the agent alone: it passes it on and keeps the grace period."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL the agent's process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class LocalTarget:
    """This machine."""

    def start(self, node: NodeSpec) -> LocalNode:
        """Start a node's agent in a process group of its own.

        Raises:
            TrainstackError: The interpreter or the log cannot be opened.
        """
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {
            "PATH": f"{node.python.parent}:{os.environ.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(node.python.parent.parent),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        environment |= node.environment
        environment |= {MARKER: str(node.marker), "PYTHONPATH": str(node.agent)}
        parent = os.getpid()
        libc = ctypes.CDLL(None, use_errno=True)

        def die_with_parent() -> None:
            if hasattr(libc, "prctl"):
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
                if os.getppid() != parent:  # it died before the kernel was told
                    os._exit(143)

        try:
            node.log.parent.mkdir(parents=True, exist_ok=True)
            with node.log.open("ab") as log:
                process = subprocess.Popen(
                    [str(node.python), "-m", "trainstack.launch", "--plan", str(node.plan), "--node", str(node.index)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
        except OSError as exc:
            raise TrainstackError(f"node {node.index} could not be started with {node.python}: {exc.strerror}") from exc
        return LocalNode(process, node.marker)

    def sweep(self, marker: Path, *, patience: float = 5.0) -> int:
        """SIGKILL every process that carries the run's marker, and wait until they are gone.

        Args:
            marker: The run directory.
            patience: Seconds to wait for the kernel.

        Returns:
            How many processes there were.
        """
        found = set[int]()
        deadline = time.monotonic() + patience
        while (alive := processes(marker)) and time.monotonic() < deadline:
            found |= alive
            for pid in alive:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        return len(found)


def processes(marker: Path) -> set[int]:
    """Live processes that carry a run's marker in their environment; empty where there is no `/proc`."""
    wanted = f"{MARKER}={marker}".encode()
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(entry.name) == os.getpid() or wanted not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            # A zombie's environment reads as empty, so what is found here still runs.
            found.add(int(entry.name))
    return found
