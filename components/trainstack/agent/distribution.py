"""How the processes of a run share the work, and which combinations cannot work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar


@dataclass(frozen=True)
class Distribution(ABC):
    """How the processes of a run share the work."""

    kind: ClassVar[str] = ""

    @property
    def elastic(self) -> bool:
        """Whether the number of ranks may change during the run."""
        return False

    @property
    def trusts_network(self) -> bool:
        """Whether its processes take orders from whoever reaches their ports."""
        return False

    @abstractmethod
    def task_count(self, node_count: int) -> int:
        """Return the number of processes on all `node_count` nodes."""

    @abstractmethod
    def problem(self, node_count: int) -> str:
        """Return what cannot work on `node_count` nodes, or an empty string."""


@dataclass(frozen=True)
class Single(Distribution):
    """One process."""

    kind: ClassVar[str] = "single"

    def task_count(self, node_count: int) -> int:
        """Return 1."""
        return 1

    def problem(self, node_count: int) -> str:
        """Refuse more than one node."""
        return "" if node_count == 1 else f"a single process needs one node, {node_count} are given"


@dataclass(frozen=True)
class Horovod(Distribution):
    """Horovod over Gloo: equal ranks that reduce their gradients together.

    Every option that is None is left to Horovod's own default.

    Attributes:
        processes_per_node: Ranks on each node.
        fusion_threshold_mb: Tensors up to this many MiB are reduced at once; 0 switches fusion off.
        cycle_time_ms: Milliseconds between two looks for tensors that are ready.
        cache_capacity: Number of tensor names whose negotiation is remembered; 0 switches that off.
        autotune: Let Horovod search for those three; the outputs get `horovod-autotune.csv`.
        timeline: The outputs get `horovod-timeline.json`, in Chrome's trace format.
        stall_check_seconds: Warn after this many seconds in which some rank did not submit a tensor; 0 never.
        stall_shutdown_seconds: End the run after this many such seconds; 0 never.
        gloo_timeout_seconds: How long ranks wait for each other when they connect.
        min_workers: Elastic: go on with as few ranks as this.
        max_workers: Elastic: grow up to this many ranks.
    """

    kind: ClassVar[str] = "horovod"
    processes_per_node: int = 1
    fusion_threshold_mb: float | None = None
    cycle_time_ms: float | None = None
    cache_capacity: int | None = None
    autotune: bool = False
    timeline: bool = False
    stall_check_seconds: int | None = None
    stall_shutdown_seconds: int | None = None
    gloo_timeout_seconds: int | None = None
    min_workers: int | None = None
    max_workers: int | None = None

    @property
    def elastic(self) -> bool:
        """Whether the number of ranks may change during the run."""
        return self.min_workers is not None or self.max_workers is not None

    def task_count(self, node_count: int) -> int:
        """Return the ranks on all nodes; elastic: the most there can be."""
        return self.max_workers or self.processes_per_node * node_count

    def problem(self, node_count: int) -> str:
        """Refuse numbers out of range and elastic runs on several nodes."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in ("processes_per_node", "gloo_timeout_seconds", *_ELASTIC) else 0
            if not isinstance(value, bool) and value is not None and value < least:
                return f"Horovod's {field.name} is {value}, at least {least} is needed"
        if not self.elastic:
            return ""
        if node_count != 1:
            return f"elastic Horovod takes its slots from one node, {node_count} are given"
        if self.min_workers is None or self.max_workers is None:
            return "elastic Horovod needs both min_workers and max_workers"
        if not self.min_workers <= self.processes_per_node <= self.max_workers:
            return (
                f"elastic Horovod starts {self.processes_per_node} ranks, which is not between "
                f"min_workers {self.min_workers} and max_workers {self.max_workers}"
            )
        return ""


_ELASTIC = ("min_workers", "max_workers")


@dataclass(frozen=True)
class TensorFlow(Distribution):
    """TensorFlow's own strategies, by TF_CONFIG.

    Without parameter servers every worker runs the script (MultiWorkerMirroredStrategy). With them a chief,
    beside worker 0 on node 0, runs the script, and the others are servers (ParameterServerStrategy).

    Attributes:
        workers: Number of workers, one a node.
        parameter_servers: Number of parameter servers, each on a node of its own, after those of the workers; or,
            when there are only as many nodes as workers, beside the workers, from the last on.
    """

    kind: ClassVar[str] = "tensorflow"
    workers: int = 1
    parameter_servers: int = 0

    @property
    def trusts_network(self) -> bool:
        """TensorFlow's servers listen on all addresses and know no login, and nobody can tell them otherwise."""
        return True

    def task_count(self, node_count: int) -> int:
        """Return workers and parameter servers, and the chief when there are any of these."""
        return self.workers + self.parameter_servers + (1 if self.parameter_servers else 0)

    def problem(self, node_count: int) -> str:
        """Refuse any number of nodes but one a task, or one a worker."""
        if self.workers < 1 or self.parameter_servers < 0:
            return f"{self.workers} workers and {self.parameter_servers} parameter servers cannot train"
        needed = self.workers + self.parameter_servers
        if node_count in (needed, self.workers):
            return ""
        shared = f", or {self.workers} that they share" if self.parameter_servers else ""
        return (
            f"{self.workers} workers and {self.parameter_servers} parameter servers need {needed} nodes{shared}, "
            f"{node_count} are given"
        )


KINDS: dict[str, type[Distribution]] = {kind.kind: kind for kind in (Single, Horovod, TensorFlow)}
"""Each distribution by its name in `launch.json`."""
