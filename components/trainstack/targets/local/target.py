"""This machine as a target: the run's directory is where its nodes work, so nothing is carried."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from trainstack.agent.distribution import Distribution
from trainstack.agent.errors import LaunchError
from trainstack.agent.plan import free_ports
from trainstack.agent.reporting.report import read_report
from trainstack.errors import TrainstackError
from trainstack.storage.log_file import open_log
from trainstack.targets.base import Addresses, Capacity, Layout, Node, NodeGroupSpec, Orphan, RunRef
from trainstack.targets.local import node as local_node
from trainstack.targets.local import orphans
from trainstack.targets.local.memory import machine, oom_kills
from trainstack.targets.local.private_network import PrivateNetwork

_ALONE = b"trainstack: these nodes have a network of their own, with no way out; allow_network=True opens one\n"


class LocalNodeGroup:
    """Agents that are children of this process; everything that they write is in the run directory at once."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._oom_kills = oom_kills()

    def wait_synced(self) -> None:
        """Nothing is elsewhere."""

    def preempted(self) -> str:
        """Nobody takes these nodes for others."""
        return ""

    def out_of_memory(self) -> bool:
        """Whether the kernel's count of such ends has risen since the start."""
        now = oom_kills()
        return self._oom_kills is not None and now is not None and now > self._oom_kills


class LocalTarget:
    """This machine."""

    def capacity(self) -> Capacity:
        """What this machine holds."""
        return machine()

    def layout(self, ref: RunRef) -> Layout:
        """The run's directory."""
        root = PurePosixPath(ref.root)
        return Layout.below(root, root)

    def addresses(self, ref: RunRef, distribution: Distribution, node_count: int) -> Addresses:
        """The loopback, and ports that are free now.

        Raises:
            TrainstackError: There are not as many.
        """
        try:
            return Addresses(("127.0.0.1",) * node_count, free_ports(distribution, node_count))
        except LaunchError as exc:
            raise TrainstackError(str(exc)) from exc

    def start(self, ref: RunRef, group: NodeGroupSpec) -> LocalNodeGroup:
        """Start every node's agent, each in a process group of its own.

        Raises:
            TrainstackError: The interpreter or the log cannot be opened.
        """
        started = LocalNodeGroup()
        log = ref.root / "logs" / "run.txt"
        network = PrivateNetwork() if group.private_network else None
        if network:
            with open_log(log) as file:
                file.write(_ALONE)
        for index in range(group.node_count):
            spec = local_node.NodeSpec(
                index=index,
                python=Path(group.runtime.python),
                agent=ref.root / "agent",
                plan=ref.root / "launch.json",
                log=log,
                marker=ref.root,
                environment=group.variables,
            )
            started.nodes.append(local_node.start(spec, network))
        if network:
            network.close()
        return started

    def attach(self, ref: RunRef, attempt: int, node_count: int) -> None:
        """Nothing to take over: agents end with their supervisor."""

    def node(self, ref: RunRef, index: int) -> _ForeignNode | None:
        """The agent that the node's report names, when it still is one of this run.

        Raises:
            TrainstackError: The report is damaged.
        """
        try:
            report = read_report(ref.root / "nodes", index)
        except LaunchError as exc:
            raise TrainstackError(str(exc)) from exc
        node = report and _ForeignNode(ref.root, report.agent_pid)
        return node if node and node.poll() is None else None

    def collect_outputs(self, ref: RunRef) -> None:
        """Nothing is elsewhere."""

    def remove_all(self, ref: RunRef) -> int:
        """SIGKILL what still carries the run's marker."""
        return orphans.remove_all(ref.root)

    def unlisted(self, ref: RunRef) -> None:
        """Nothing: all that there is bears the run's name."""

    def orphans(self, workspace: str) -> Sequence[Orphan]:
        """Nothing: processes end with their supervisor, and the next attempt sweeps."""
        return []


class _ForeignNode:
    """An agent that another process started."""

    termination_reason = ""

    def __init__(self, marker: Path, agent: int) -> None:
        self._marker = marker
        self._agent = agent

    def poll(self) -> int | None:
        """None while it runs. How it ended only its parent can say: then it counts as killed."""
        # A process id may have been given away since; the run's marker in its environment cannot.
        return None if self._agent in orphans.processes(self._marker) else -signal.SIGKILL

    def terminate(self) -> None:
        """SIGTERM to its group, as a machine that shuts down sends it."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to its group; its ranks end with it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._agent, number)
