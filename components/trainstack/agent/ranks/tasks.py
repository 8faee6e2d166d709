"""The processes of a launch: how many, on which node, in which role."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan import LaunchPlan, TensorFlow


@dataclass(frozen=True)
class Task:
    """One process of the run.

    Attributes:
        rank: Its number among all, counted node by node.
        size: How many there are.
        local_rank: Its number on its node.
        local_size: How many run on its node.
        node: The node's number.
        node_count: How many nodes there are.
        role: `rank` for equal ranks; TensorFlow: `chief`, `worker` or `ps`.
        index: Its number among those of its role.
        runs_script: Whether it runs the script; else it is a TensorFlow server.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    node: int
    node_count: int
    role: str
    index: int
    runs_script: bool = True


def all_tasks(plan: LaunchPlan) -> list[Task]:
    """Return the tasks of all nodes in the order of their ranks.

    Args:
        plan: What is launched.
    """
    positions = _positions(plan)
    on_node = [node for node, _, _, _ in positions]
    return [
        Task(
            rank=rank,
            size=len(positions),
            local_rank=on_node[:rank].count(node),
            local_size=on_node.count(node),
            node=node,
            node_count=len(plan.nodes),
            role=role,
            index=index,
            runs_script=runs_script,
        )
        for rank, (node, role, index, runs_script) in enumerate(positions)
    ]


def tasks_of(plan: LaunchPlan, node: int) -> list[Task]:
    """Return the tasks of one node.

    Args:
        plan: What is launched.
        node: The node's number.
    """
    return [task for task in all_tasks(plan) if task.node == node]


def _positions(plan: LaunchPlan) -> list[tuple[int, str, int, bool]]:
    """Return node, role, index and whether it runs the script, of each task."""
    kind = plan.distribution
    if not isinstance(kind, TensorFlow):
        per_node = plan.task_count // len(plan.nodes)
        return [(rank // per_node, "rank", rank, True) for rank in range(plan.task_count)]
    if not kind.parameter_servers:
        return [(index, "worker", index, True) for index in range(kind.workers)]
    # A server has a node of its own where there are enough, else it sits beside a worker, the chief's last.
    shared = len(plan.nodes) == kind.workers
    servers = [
        kind.workers - 1 - index % kind.workers if shared else kind.workers + index
        for index in range(kind.parameter_servers)
    ]
    return [
        (0, "chief", 0, True),  # it only hands out work, so it shares worker 0's node
        *((index, "worker", index, False) for index in range(kind.workers)),
        *((node, "ps", index, False) for index, node in enumerate(servers)),
    ]
