"""The plan of a launch: what to run on which nodes. The supervisor writes it, each node's agent reads it.

A plan holds no secrets: those reach the agent in its own environment, and from there the ranks.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .distribution import KINDS, Distribution, Horovod, Single, TensorFlow
from .document import build, mapping, write_json
from .errors import LaunchError
from .ports import find_free_ports

__all__ = [
    "COORDINATION_PORT",
    "FIRST_TASK_PORT",
    "RENDEZVOUS_PORT",
    "Distribution",
    "Horovod",
    "LaunchPlan",
    "Single",
    "TensorFlow",
    "free_ports",
    "plan_from_json",
    "ports_needed",
    "read_plan",
]

VERSION = 1
KEY_VARIABLE = "TRAINSTACK_LAUNCH_KEY"
"""Environment variable with the secret that all agents of a run share where others can reach their network."""
SCRIPT_PATH_VARIABLE = "TRAINSTACK_SCRIPT_PYTHONPATH"
"""Environment variable with the PYTHONPATH that the script gets; the agent's own leads to the agent."""
COORDINATION_PORT = 0
"""Index in `LaunchPlan.ports` of the port where node 0's agent meets the other agents."""
RENDEZVOUS_PORT = 1
"""Index in `LaunchPlan.ports` of the port of Horovod's rendezvous server, on node 0."""
FIRST_TASK_PORT = 2
"""Index in `LaunchPlan.ports` of TensorFlow's task 0; task (rank) `n` has the port `n` further."""


@dataclass(frozen=True)
class LaunchPlan:
    """What the agents of a run need to know.

    Attributes:
        distribution: How the processes share the work.
        script: The Python script, relative to `code`; empty where a module is run.
        module: The module that `python -m` runs; empty where a script is run.
        argv: Its arguments.
        code: Working folder of the ranks.
        outputs: Folder of kept files; Horovod's timeline and autotune log go there.
        reports: Folder that gets `node-N.json`.
        nodes: Address of each node; on one machine the same address several times.
        ports: Free TCP ports, `ports_needed` of them: first the one where node 0's agent meets the others,
            then that of Horovod's rendezvous on node 0; TensorFlow: then one for each task (rank). All
            differ, so that all nodes can be on one machine.
        cores: CPU cores that belong to one node; its ranks share them.
        gpus: GPUs of NVIDIA that one node has; a run whose TensorFlow sees fewer ends before its script starts.
        grace_seconds: Time between SIGTERM and SIGKILL when the run is stopped, for a last checkpoint.
        rank_variables: Environment variables for every rank; `{rank}` in their values is filled in; elastic: with 0.
        tracking: Folder for the system metrics that the agents record, `node-N` below it; empty for nothing.
        system_seconds: Interval of the system metrics; 0 records none.
        log_bytes: Bytes of the run's log, after which its middle is left out; 0 for no limit.
        join_seconds: How long the nodes wait for each other before anything starts.
    """

    distribution: Distribution
    script: str
    code: str
    outputs: str
    reports: str
    argv: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ("127.0.0.1",)
    ports: tuple[int, ...] = ()
    cores: int = 1
    gpus: int = 0
    grace_seconds: float = 10.0
    join_seconds: float = 120.0
    tracking: str = ""
    system_seconds: float = 0.0
    log_bytes: int = 0
    module: str = ""
    rank_variables: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def task_count(self) -> int:
        """Number of processes on all nodes."""
        return self.distribution.task_count(len(self.nodes))

    def check(self) -> None:
        """Check that this plan can be launched.

        Raises:
            LaunchError: One line with the first thing that is wrong.
        """
        needed = ports_needed(self.distribution, len(self.nodes))
        wrong = [
            (not self.nodes or not all(self.nodes), "every node needs an address"),
            (self.cores < 1, f"a node has {self.cores} cores, at least 1 is needed"),
            (self.grace_seconds < 0 or self.join_seconds <= 0, "seconds of grace or joining are negative"),
            (self.log_bytes < 0, "the limit of the log is negative"),
            (self.system_seconds < 0, "seconds between two looks at the system are negative"),
            (len(self.ports) < needed, f"{needed} ports are needed, {len(self.ports)} are given"),
            (len(set(self.ports)) < len(self.ports), f"ports must differ: {_listed(self.ports)}"),
            (not all(0 < port < 65536 for port in self.ports), f"no such port: {_listed(self.ports)}"),
            (bool(self.script) == bool(self.module), "either a script or a module is needed"),
        ]
        problem = self.distribution.problem(len(self.nodes)) or next((text for bad, text in wrong if bad), "")
        if problem:
            raise LaunchError(f"launch plan: {problem}")

    def to_json(self) -> dict[str, Any]:
        """Return the plan as it stands in `launch.json`."""
        document: dict[str, Any] = {"version": VERSION}
        for attribute in fields(self):
            value: Any = getattr(self, attribute.name)
            document[attribute.name] = [*value] if isinstance(value, tuple) else value
        document["distribution"] = {"kind": self.distribution.kind, **asdict(self.distribution)}
        return document

    def write(self, path: str | os.PathLike[str]) -> None:
        """Check the plan and write it to `path`, whole or not at all.

        Raises:
            LaunchError: The plan cannot be launched.
            OSError: The file cannot be written.
        """
        self.check()
        write_json(Path(path), self.to_json())


def ports_needed(distribution: Distribution, node_count: int) -> int:
    """Return how many free ports a plan needs.

    Args:
        distribution: How the processes share the work.
        node_count: Number of nodes.
    """
    if isinstance(distribution, Single):
        return 0
    listening = distribution.task_count(node_count) if isinstance(distribution, TensorFlow) else 0
    return FIRST_TASK_PORT + listening


def free_ports(distribution: Distribution, node_count: int) -> tuple[int, ...]:
    """Return as many free ports of this machine as a plan needs.

    Args:
        distribution: How the processes share the work.
        node_count: Number of nodes, all on this machine.

    Raises:
        LaunchError: There are not as many.
    """
    return find_free_ports(ports_needed(distribution, node_count))


def read_plan(path: str | os.PathLike[str]) -> LaunchPlan:
    """Read and check a plan.

    Args:
        path: A `launch.json`.

    Raises:
        LaunchError: There is none, it is damaged, of another version, or cannot be launched.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as exc:
        raise LaunchError(f"launch plan {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise LaunchError(f"launch plan {path} is damaged: {exc}") from exc
    plan = plan_from_json(document)
    plan.check()
    return plan


def plan_from_json(document: Any) -> LaunchPlan:
    """Build a plan from what `LaunchPlan.to_json` returned; `LaunchPlan.check` then says whether it can work.

    Args:
        document: The parsed `launch.json`.

    Raises:
        LaunchError: A key is missing, unknown, or of a wrong type.
    """
    values = mapping(document, "the document")
    version = values.pop("version", None)
    if version != VERSION:
        raise LaunchError(f"launch plan: version {version!r} is not known, this agent reads {VERSION}")
    options = mapping(values.get("distribution"), "distribution")
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise LaunchError(f"launch plan: distribution kind {kind!r} is none of {', '.join(KINDS)}")
    values["distribution"] = build(KINDS[kind], options)
    return build(LaunchPlan, values)


def _listed(ports: tuple[int, ...]) -> str:
    return ", ".join(map(str, ports))
