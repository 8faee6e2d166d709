"""The environment variables that every rank gets, whatever the distribution."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..plan import KEY_VARIABLE, SCRIPT_PATH_VARIABLE, LaunchPlan
from .tasks import Task, all_tasks

THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
AGENT_ROOT = Path(__file__).absolute().parents[3].resolve()
"""The folder that PYTHONPATH names so that the agent can be imported."""
CLIENT_FOLDER = "client"
"""Below that, the folder of what the MLflow client of a script finds."""


def rank_environment(plan: LaunchPlan, task: Task, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one rank.

    Args:
        plan: Its `cores` are shared evenly by the ranks of a node, because more threads than cores thrash.
        task: The rank.
        inherited: The agent's own environment. Its thread settings stay.
    """
    variables = dict(inherited)
    variables.pop(KEY_VARIABLE, None)
    declared = variables.pop(SCRIPT_PATH_VARIABLE, "")
    share = str(max(1, plan.cores // task.local_size))
    for name in THREAD_VARIABLES:
        variables.setdefault(name, share)
    if task.runs_script:
        _set_import_path(variables, declared)
    # In an elastic run any worker can become rank 0, whose metrics are the run's: every worker gets its folder.
    rank = "0" if plan.distribution.elastic else str(task.rank)
    variables.update({name: value.replace("{rank}", rank) for name, value in plan.rank_variables.items()})
    variables.setdefault("PYTHONUNBUFFERED", "1")
    variables.update(
        TRAINSTACK_RANK=str(task.rank),
        TRAINSTACK_SIZE=str(task.size),
        TRAINSTACK_LOCAL_RANK=str(task.local_rank),
        TRAINSTACK_LOCAL_SIZE=str(task.local_size),
        TRAINSTACK_NODE=str(task.node),
        TRAINSTACK_NODE_COUNT=str(task.node_count),
        TRAINSTACK_ROLE=task.role,
    )
    variables.update(_shard(plan, task))
    return variables


def _shard(plan: LaunchPlan, task: Task) -> dict[str, str]:
    """Return which share of the data is a rank's: those that run the script divide it.

    An elastic run has none: who takes part in it changes while its processes live.
    """
    readers = [each.rank for each in all_tasks(plan) if each.runs_script]
    if plan.distribution.elastic or task.rank not in readers:
        return {}
    return {"TRAINSTACK_SHARD_INDEX": str(readers.index(task.rank)), "TRAINSTACK_SHARD_COUNT": str(len(readers))}


def _set_import_path(variables: dict[str, str], declared: str) -> None:
    """Hide the agent's package: a script that imports an installed `trainstack` must get that one.

    What the run declares comes first. What the script's MLflow client finds is in a folder of its own, without that
    package.
    """
    entries = [entry for entry in declared.split(os.pathsep) if entry]
    entries += [
        entry
        for entry in variables.get("PYTHONPATH", "").split(os.pathsep)
        if entry and Path(entry).resolve() != AGENT_ROOT
    ]
    client = AGENT_ROOT / CLIENT_FOLDER
    if client.is_dir():
        entries.append(str(client))
    if entries:
        variables["PYTHONPATH"] = os.pathsep.join(entries)
    else:
        variables.pop("PYTHONPATH", None)
