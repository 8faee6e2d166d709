"""How a run is spread over processes and nodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from trainstack.components.declaration import checked


@checked
@dataclass(frozen=True, kw_only=True)
class Horovod:
    """Horovod over Gloo: equal ranks that reduce their gradients together.

    Attributes:
        node_count: Nodes.
        process_count_per_node: Ranks on each node.
        fusion_threshold_mb: Tensors up to this many MiB are reduced in one go.
        cycle_time_ms: Milliseconds between two looks for tensors that are ready.
        cache_capacity: Tensor names whose negotiation is remembered.
        autotune: Let Horovod search for those three; its log becomes an output.
        timeline: Keep Horovod's timeline as an output.
        stall_check_seconds: Warn when a rank is late by this much.
        stall_shutdown_seconds: End the run when a rank is late by this much.
        gloo_timeout_seconds: How long ranks wait for each other when they connect.
        min_workers: Elastic: go on with as few ranks as this.
        max_workers: Elastic: grow up to this many ranks.
    """

    node_count: int = 1
    process_count_per_node: int = 1
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

    def spec(self) -> dict[str, Any]:
        """The distribution as a run's inputs hold it."""
        options = asdict(self)
        options["processes_per_node"] = options.pop("process_count_per_node")
        return {"kind": "horovod", **{name: value for name, value in options.items() if value is not None}}


@checked
@dataclass(frozen=True, kw_only=True)
class TensorFlow:
    """TensorFlow's own strategies.

    Attributes:
        worker_count: Workers, one a node; without parameter servers each runs the script
            (MultiWorkerMirroredStrategy).
        parameter_server_count: Parameter servers; with them a chief runs the script (ParameterServerStrategy).
        node_count: Nodes; when left out, one a worker and one a parameter server. As many as workers: the parameter
            servers share the workers' nodes.
    """

    worker_count: int = 1
    parameter_server_count: int = 0
    node_count: int | None = None

    def spec(self) -> dict[str, Any]:
        """The distribution as a run's inputs hold it."""
        every = self.worker_count + self.parameter_server_count
        return {
            "kind": "tensorflow",
            "node_count": every if self.node_count is None else self.node_count,
            "workers": self.worker_count,
            "parameter_servers": self.parameter_server_count,
        }


MpiConfiguration = Horovod
"""Azure ML's name for it."""
TensorflowConfiguration = TensorFlow
"""Azure ML's name for it."""
