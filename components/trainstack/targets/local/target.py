"""This machine as a target: the run's directory is where its nodes work, so nothing is carried to or fro."""

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
from trainstack.targets.base import Addresses, Capacity, GangSpec, Home, Layout, Node, Stray
from trainstack.targets.local import node as local_node
from trainstack.targets.local import orphans as strays
from trainstack.targets.local.memory import machine, oom_kills


class LocalGang:
    """Agents that are children of this process; everything that they write is at home at once."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._oom_kills = oom_kills()

    def settle(self) -> None:
        """Nothing is elsewhere."""

    def out_of_memory(self) -> bool:
        """Whether the kernel's count of such ends has risen since the start."""
        now = oom_kills()
        return self._oom_kills is not None and now is not None and now > self._oom_kills


class LocalTarget:
    """This machine."""

    images = False

    def capacity(self) -> Capacity:
        """What this machine holds."""
        return machine()

    def layout(self, home: Home) -> Layout:
        """The run's directory."""
        root = PurePosixPath(home.root)
        return Layout.below(root, root)

    def addresses(self, home: Home, distribution: Distribution, node_count: int) -> Addresses:
        """The loopback, and ports that are free now.

        Raises:
            TrainstackError: There are not as many.
        """
        try:
            return Addresses(("127.0.0.1",) * node_count, free_ports(distribution, node_count))
        except LaunchError as exc:
            raise TrainstackError(str(exc)) from exc

    def start(self, home: Home, gang: GangSpec) -> LocalGang:
        """Start every node's agent, each in a process group of its own.

        Raises:
            TrainstackError: The interpreter or the log cannot be opened.
        """
        started = LocalGang()
        for index in range(gang.node_count):
            spec = local_node.NodeSpec(
                index=index,
                python=Path(gang.runtime.python),
                agent=home.root / "agent",
                plan=home.root / "launch.json",
                log=home.root / "logs" / "run.txt",
                marker=home.root,
                environment=gang.variables,
            )
            started.nodes.append(local_node.start(spec))
        return started

    def attach(self, home: Home, attempt: int, node_count: int) -> None:
        """Nothing to take over: agents end with their supervisor."""

    def node(self, home: Home, index: int) -> _ForeignNode | None:
        """The agent that the node's report names, when it still is one of this run.

        Raises:
            TrainstackError: The report is damaged.
        """
        try:
            report = read_report(home.root / "nodes", index)
        except LaunchError as exc:
            raise TrainstackError(str(exc)) from exc
        found = report and _ForeignNode(home.root, report.agent_pid)
        return found if found and found.poll() is None else None

    def recover(self, home: Home) -> None:
        """Nothing is elsewhere."""

    def sweep(self, home: Home) -> int:
        """SIGKILL what still carries the run's marker."""
        return strays.sweep(home.root)

    def strays(self, workspace: str) -> Sequence[Stray]:
        """Nothing: processes end with their supervisor, and the next attempt sweeps."""
        return []


class _ForeignNode:
    """An agent that another process started."""

    fate = ""

    def __init__(self, marker: Path, agent: int) -> None:
        self._marker = marker
        self._agent = agent

    def poll(self) -> int | None:
        """None while it runs. How it ended only its parent can say: then it counts as killed."""
        # A process id may have been given away since; the run's marker in its environment cannot.
        return None if self._agent in strays.processes(self._marker) else -signal.SIGKILL

    def terminate(self) -> None:
        """SIGTERM to its group, as a machine that shuts down sends it."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to its group; its ranks end with it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._agent, number)
