"""Take a node away from a run, as a cloud reclaims a spot machine: a short notice, then nothing is left of it."""

from __future__ import annotations

import os
import signal
import time

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.launch.document import LaunchError
from trainstack.launch.report import read_report
from trainstack.lifecycle.run import RunDirectory, Status
from trainstack.targets.local import processes

NOTICE_SECONDS = 2.0


def preempt(directory: RunDirectory, node: int = 0, *, notice: float = NOTICE_SECONDS) -> int:
    """End a node's agent: SIGTERM, and SIGKILL to its group after the notice. Its ranks end with it.

    Args:
        directory: The run.
        node: The node's number.
        notice: Seconds between SIGTERM and SIGKILL; the script may use them for a checkpoint.

    Returns:
        The process id of the agent that was ended.

    Raises:
        InvalidInputError: The run has no such node.
        TrainstackError: Nothing of the run is running.
    """
    record = directory.read()
    if record.status is not Status.RUNNING:
        raise TrainstackError(f"run {directory.id} is {record.status.value}: only a running one has nodes to lose")
    agent = _agent(directory, node)
    directory.event("preemption", attempt=record.attempt, node=node, notice=notice)
    _signal(agent, signal.SIGTERM)
    deadline = time.monotonic() + notice
    while agent in processes(directory.root) and time.monotonic() < deadline:
        time.sleep(0.02)
    if agent in processes(directory.root):
        _signal(agent, signal.SIGKILL)
    return agent


def _agent(directory: RunDirectory, node: int) -> int:
    try:
        report = read_report(directory.reports, node)
    except LaunchError as exc:
        raise TrainstackError(str(exc)) from exc
    if report is None:
        there = len([*directory.reports.glob("node-*.json")])
        raise InvalidInputError(f"run {directory.id} has no node {node}: it runs on {there}, counted from 0")
    # A process id may have been given away since; the run's marker in its environment cannot.
    if report.agent_pid not in processes(directory.root):
        raise TrainstackError(f"node {node} of run {directory.id} has ended already")
    return report.agent_pid


def _signal(agent: int, number: int) -> None:
    try:
        os.killpg(agent, number)
    except ProcessLookupError:
        return
