"""A node as a process group of this machine.

A node's agent is told to end when the process that started it dies, so a killed supervisor leaves no worker behind.
What escapes even that is found by a variable that every process of a run carries, and ended by `targets.local.orphans`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from trainstack.errors import TrainstackError
from trainstack.storage.log_file import open_log
from trainstack.targets.local import private_network
from trainstack.targets.local.private_network import PrivateNetwork

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


@dataclass(frozen=True)
class NodeSpec:
    """What it takes to start one node's agent.

    Attributes:
        index: The node's number, from 0.
        python: Interpreter of the training environment.
        agent: Folder with the launch agent, the only thing of ours that the node imports.
        plan: The launch plan, a JSON file.
        log: File that the agent's output is appended to.
        marker: Path of the run directory; every process of the node carries it in its environment.
        environment: Variables for the node, secrets among them.
    """

    index: int
    python: Path
    agent: Path
    plan: Path
    log: Path
    marker: Path
    environment: dict[str, str] = field(default_factory=dict[str, str], repr=False)


class LocalNode:
    """A node's agent as a child process."""

    termination_reason = ""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

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


def start(node: NodeSpec, network: PrivateNetwork | None = None) -> LocalNode:
    """Start a node's agent in a process group of its own.

    Args:
        node: The node.
        network: The network that it shares with the run's other nodes alone; the first one makes it.

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

    def prepare() -> None:
        if network:
            network.enter()
        # After that: who gets other rights loses the signal.
        if hasattr(libc, "prctl"):
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # it died before the kernel was told
                os._exit(143)

    try:
        with open_log(node.log) as log:
            process = subprocess.Popen(
                [str(node.python), "-m", "trainstack.agent", "--plan", str(node.plan), "--node", str(node.index)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=prepare,
            )
            if network:
                network.open(process.pid)
    except OSError as exc:
        raise TrainstackError(f"node {node.index} could not be started with {node.python}: {exc.strerror}") from exc
    except subprocess.SubprocessError as exc:
        raise TrainstackError(
            f"node {node.index} gets no network of its own ({private_network.problem()}): say allow_network=True "
            "where nobody reaches this machine"
        ) from exc
    return LocalNode(process)
