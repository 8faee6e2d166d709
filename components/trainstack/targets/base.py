"""Where nodes run, behind one interface: what the lifecycle asks of a place, and each place answers in its package.

In the run directory the lifecycle lays out code, data, agent and launch plan, and there everything that nodes write
ends up. A target transfers files between the run directory and the nodes, and knows nothing of what they compute.
`docs/adr/0010-targets.md` tells the order of the calls and what each target does with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from trainstack.agent.distribution import Distribution

WRITTEN = ("outputs", "logs", "checkpoints", "tracking", "nodes")
"""Folders of a run that its nodes write; the others are given to them and only read."""


class Capacity(BaseModel):
    """What one node, or a whole place, holds.

    Attributes:
        cpus: CPUs.
        memory_gib: GiB of memory.
        gpus: GPUs; none where a place does not say.
        gpu: The model that they must be; none for any.
        gpu_vendor: Whose GPUs they are, as the names of their resources and taints begin on a cluster.
        machine: The machine of which it is a part, by its vendor's name; empty where nobody named one.
        reserved_cpus: How much of `cpus` the machine keeps for itself, so that nobody may count on it.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    cpus: int
    memory_gib: float
    gpus: int | None = 0
    gpu: str | None = None
    gpu_vendor: Literal["nvidia", "amd"] = "nvidia"
    machine: str = ""
    reserved_cpus: float = 0.0


@dataclass(frozen=True)
class RunRef:
    """Where a run's directory is.

    Attributes:
        root: The run's directory.
        workspace: What tells its workspace from any other that uses the same place.
    """

    root: Path
    workspace: str

    @property
    def id(self) -> str:
        """The run's id."""
        return self.root.name


@dataclass(frozen=True)
class Layout:
    """Where nodes find and leave the run's files: paths as the nodes see them.

    Attributes:
        code: Working directory of the script; has links `outputs` and `logs`.
        data: One folder a dataset.
        outputs: What is kept.
        logs: `run.txt`, and what the script adds.
        checkpoints: Where the script resumes from.
        tracking: What the script logs through MLflow.
        nodes: The agents' reports.
    """

    code: PurePosixPath
    data: PurePosixPath
    outputs: PurePosixPath
    logs: PurePosixPath
    checkpoints: PurePosixPath
    tracking: PurePosixPath
    nodes: PurePosixPath

    @classmethod
    def below(cls, read_only: PurePosixPath, written: PurePosixPath) -> Layout:
        """The usual names below two folders: one for what nodes are given, one for what they write."""
        return cls(read_only / "code", read_only / "data", *(written / name for name in WRITTEN))


@dataclass(frozen=True)
class Addresses:
    """How the nodes of a run reach each other: an address a node, and the ports of `trainstack.agent.plan`."""

    nodes: tuple[str, ...]
    ports: tuple[int, ...]


@dataclass(frozen=True)
class Runtime:
    """A training environment where the nodes are.

    Attributes:
        python: Path of its interpreter.
        image: The image that has it, by digest; none where it is on the node's own disk.
    """

    python: str
    image: str | None = None


@dataclass(frozen=True)
class NodeGroupSpec:
    """The nodes of one attempt. Their launch plan is `launch.json` in the run directory, the agent `agent/`.

    Attributes:
        attempt: Its number, from 1.
        node_count: How many nodes.
        runtime: What they run on.
        holds: What each may use.
        name: The run's name, for people who look at the place.
        stack: The Pulumi stack that submitted it, where there is one.
        variables: Environment of every node. Secrets are among them: they go into no file, command line or record.
        private_network: Whether nobody else may reach the nodes' ports. A place that shares no network with others
            has nothing to do.
        waiting: Told again and again what a start waits for, where it does; may raise to end it.
        all_running: Called when every node has its place and runs, though what it reads may still be on its way; by
            the end of a start at the latest. May be called again and again; may raise to end the start.
    """

    attempt: int
    node_count: int
    runtime: Runtime
    holds: Capacity
    name: str = ""
    stack: str = ""
    variables: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    private_network: bool = False
    waiting: Callable[[str], None] = field(default=lambda _: None, repr=False, compare=False)
    all_running: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


@dataclass(frozen=True)
class DriverSpec:
    """A program that drives a run at a place, with the store in which the run's workspace is.

    Attributes:
        image: The image that it runs in.
        python: Path of the image's interpreter.
        address: The workspace's store.
        package: Key in the store of Trainstack's own code, as a zip archive named by its SHA-256.
        secrets: Values of the run's secret variables.
        stack: The Pulumi stack that submitted the run, where there is one.
    """

    image: str
    python: str
    address: str
    package: str
    secrets: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    stack: str = ""


@dataclass(frozen=True)
class DriverState:
    """How a run's driver does.

    Attributes:
        active: Whether it drives the run, or is about to.
        reason: What it waits for or how it ended, in a few words; empty where there is nothing to say.
    """

    active: bool
    reason: str = ""


@dataclass(frozen=True)
class Orphan:
    """Something that a target keeps for a run: `kind` and `name` as people know it there."""

    run: str
    kind: str
    name: str


class Node(Protocol):
    """A started node."""

    @property
    def termination_reason(self) -> str:
        """Why its place ended it, in that place's own words; empty where it did not."""
        ...

    def poll(self) -> int | None:
        """Its agent's exit code, negative for a signal; none while it runs, or while nobody can tell."""
        ...

    def terminate(self) -> None:
        """Ask it to end; the agent gives its ranks time for a checkpoint."""
        ...

    def kill(self) -> None:
        """End it now, with everything that it started."""
        ...


class NodeGroup(Protocol):
    """The nodes of one attempt; what they write arrives in the run directory while they run."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes, by number."""
        ...

    def wait_synced(self) -> None:
        """Return when everything that the nodes wrote is in the run directory. They have all ended.

        Raises:
            TrainstackError: Something is missing; it stays where it is, and `Target.collect_outputs` will fetch it.
        """
        ...

    def preempted(self) -> str:
        """Why their place took the nodes away for others, in its own words; empty where it did not."""
        ...

    def out_of_memory(self) -> bool:
        """Whether the kernel ended a process of these nodes for want of memory, as far as can be told."""
        ...


class Target(Protocol):
    """Runs nodes. Making one connects to nothing; the first call that has to, does."""

    def capacity(self) -> Capacity | None:
        """What the whole place holds; none where it grows as needed.

        Raises:
            TrainstackError: It does not answer.
        """
        ...

    def layout(self, ref: RunRef) -> Layout:
        """Where the nodes of a run will find its files."""
        ...

    def addresses(self, ref: RunRef, distribution: Distribution, node_count: int) -> Addresses:
        """How they will reach each other.

        Raises:
            TrainstackError: There are not as many free ports.
        """
        ...

    def start(self, ref: RunRef, group: NodeGroupSpec) -> NodeGroup:
        """Hand over what nodes read, and start every node's agent.

        Raises:
            TrainstackError: It could not be done; `remove_all` removes what has come of it.
        """
        ...

    def attach(self, ref: RunRef, attempt: int, node_count: int) -> NodeGroup | None:
        """Take over the nodes of an attempt whose supervisor was killed.

        Returns:
            The nodes, when all nodes go on or have come to an end of their own; none when some are lost.
        """
        ...

    def node(self, ref: RunRef, index: int) -> Node | None:
        """One node of a running run, for whoever is not its supervisor; none when it is not there."""
        ...

    def collect_outputs(self, ref: RunRef) -> None:
        """Fetch the outputs that nobody has fetched yet.

        Raises:
            TrainstackError: The place does not answer; nothing there was changed.
        """
        ...

    def remove_all(self, ref: RunRef) -> int:
        """End and remove whatever the place still has of a run; gives the number of processes or nodes ended.

        Raises:
            TrainstackError: The place does not answer.
        """
        ...

    def orphans(self, workspace: str) -> Sequence[Orphan]:
        """All that the place has of a workspace's runs.

        Raises:
            TrainstackError: The place does not answer.
        """
        ...

    def unlisted(self, ref: RunRef) -> Orphan | None:
        """What the target may have of a run though it lists nothing of it; found in the run's directory alone."""
        ...


class DriverHost(Protocol):
    """Drives runs at a place, so that the machine that submits them need not stay."""

    def start(self, ref: RunRef, spec: DriverSpec) -> None:
        """Start a run's driver, unless it is there.

        Raises:
            TrainstackError: The place refuses or does not answer.
        """
        ...

    def state(self, ref: RunRef) -> DriverState:
        """Look how a run's driver does.

        Raises:
            TrainstackError: The place does not answer.
        """
        ...
