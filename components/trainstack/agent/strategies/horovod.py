"""Horovod over Gloo without ssh or mpirun: node 0's agent is the rendezvous, variables give every rank its position."""

from __future__ import annotations

from pathlib import Path

from ..coordination.member import connect
from ..plan import RENDEZVOUS_PORT, Horovod, LaunchPlan
from ..ranks.interfaces import interface_of
from ..ranks.tasks import Task
from .horovod_variables import tuning_variables
from .rendezvous import horovod_module, rendezvous_address, rendezvous_server
from .strategy import Strategy

_CHECK_SECONDS = 10.0


class HorovodStrategy(Strategy):
    """Equal ranks, some on each node."""

    def __init__(self, plan: LaunchPlan, node: int, options: Horovod) -> None:
        """Set up node `node` of `plan`, tuned by `options`."""
        super().__init__(plan, node)
        self._options = options
        self._interface = interface_of(plan.nodes[node])

    def prepare(self) -> None:
        """Open the rendezvous, on node 0."""
        if self._node == 0:
            per_node = self._options.processes_per_node
            hosts = horovod_module("runner.common.util.hosts")
            host_slots = ",".join(f"{_host_name(node)}:{per_node}" for node in range(len(self._plan.nodes)))
            assignments = hosts.get_host_assignments(hosts.parse_hosts(host_slots), self._plan.task_count)
            server = rendezvous_server(self._plan.nodes[0], self._plan.ports[RENDEZVOUS_PORT])
            server.start()
            server.init(assignments)

    def ready(self) -> None:
        """Check that the rendezvous can be reached from here, and make the folder of Horovod's files."""
        connect(self._plan.nodes[0], self._plan.ports[RENDEZVOUS_PORT], _CHECK_SECONDS).close()
        if self._options.timeline or self._options.autotune:
            Path(self._plan.outputs).mkdir(parents=True, exist_ok=True)

    def variables(self, task: Task) -> dict[str, str]:
        """Return the rank's position and the options."""
        position = {
            "HOROVOD_HOSTNAME": _host_name(task.node),
            "HOROVOD_RANK": task.rank,
            "HOROVOD_SIZE": task.size,
            "HOROVOD_LOCAL_RANK": task.local_rank,
            "HOROVOD_LOCAL_SIZE": task.local_size,
            "HOROVOD_CROSS_RANK": task.node,
            "HOROVOD_CROSS_SIZE": task.node_count,
        }
        return {
            **connection_variables(self._plan, self._interface),
            **tuning_variables(self._options, self._plan.outputs),
            **{name: str(value) for name, value in position.items()},
        }


def connection_variables(plan: LaunchPlan, interface: str | None) -> dict[str, str]:
    """Return the variables by which a rank finds the rendezvous and the others.

    Args:
        plan: What is launched.
        interface: The network interface to use; None leaves the choice to Gloo.
    """
    variables = {
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": rendezvous_address(plan.nodes[0], plan.ports[RENDEZVOUS_PORT]),
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(plan.ports[RENDEZVOUS_PORT]),
    }
    if interface:
        variables["HOROVOD_GLOO_IFACE"] = interface
    return variables


def _host_name(node: int) -> str:
    """Name the node by its number: on one machine all nodes have the same address, and Horovod tells them by name."""
    return f"node-{node}"
