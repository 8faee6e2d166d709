"""TensorFlow's own distribution: TF_CONFIG for every task, and servers for those that do not run the script."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..errors import LaunchError
from ..plan import FIRST_TASK_PORT, LaunchPlan
from ..ranks.tasks import Task, all_tasks
from .strategy import Strategy


class TensorFlowStrategy(Strategy):
    """Workers that all run the script; or a chief that runs it, and servers."""

    def __init__(self, plan: LaunchPlan, node: int) -> None:
        """Set up node `node` of `plan`."""
        super().__init__(plan, node)
        self._cluster = cluster_of(plan)

    def prepare(self) -> None:
        """Check the TF_CONFIG of every task."""
        for task in all_tasks(self._plan):
            check_config(self._config(task))

    def command(self, task: Task) -> Sequence[str]:
        """Return the script's command, or that of a server."""
        if task.runs_script:
            return super().command(task)
        return [sys.executable, "-u", "-m", f"{__package__}.tf_server"]

    def variables(self, task: Task) -> dict[str, str]:
        """Return the task's TF_CONFIG."""
        return {"TF_CONFIG": json.dumps(self._config(task))}

    def _config(self, task: Task) -> dict[str, Any]:
        return {"cluster": self._cluster, "task": {"type": task.role, "index": task.index}}


def cluster_of(plan: LaunchPlan) -> dict[str, list[str]]:
    """Return the addresses of all tasks by role, each role's in the order of its indexes.

    Args:
        plan: What is launched.
    """
    cluster: dict[str, list[str]] = {}
    for task in all_tasks(plan):
        address = f"{plan.nodes[task.node]}:{plan.ports[FIRST_TASK_PORT + task.rank]}"
        cluster.setdefault(task.role, []).append(address)
    return cluster


def check_config(config: dict[str, Any]) -> None:
    """Check that TensorFlow would not wait for ever, or connect to the wrong task, with this TF_CONFIG.

    Args:
        config: The parsed TF_CONFIG.

    Raises:
        LaunchError: One line with what is wrong.
    """
    cluster: dict[str, list[str]] = config["cluster"]
    role, index = config["task"]["type"], config["task"]["index"]
    addresses = Counter(address for role_addresses in cluster.values() for address in role_addresses)
    address, uses = addresses.most_common(1)[0]
    if uses > 1:
        raise LaunchError(f"TF_CONFIG: {uses} tasks share the address {address}")
    if role not in cluster:
        raise LaunchError(f"TF_CONFIG: the cluster has no {role}, only {', '.join(cluster)}")
    if not 0 <= index < len(cluster[role]):
        raise LaunchError(f"TF_CONFIG: there is no {role} {index}, the cluster has {len(cluster[role])}")
    if len(cluster.get("chief", ())) > 1:
        raise LaunchError("TF_CONFIG: a cluster has one chief at most")
    if "ps" in cluster and not {"chief", "worker"} <= cluster.keys():
        raise LaunchError("TF_CONFIG: parameter servers need a chief and workers")
