"""Take a node away from a run, as a cloud reclaims a spot machine: a short notice, then nothing is left of it."""

from __future__ import annotations

import time

from trainstack.core.compute.compute import target_of
from trainstack.core.runs import distribution, location
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.errors import InvalidInputError, TrainstackError

NOTICE_SECONDS = 2.0


def preempt(directory: RunDirectory, node: int = 0, *, notice: float = NOTICE_SECONDS) -> None:
    """End a node: SIGTERM to its agent, and SIGKILL after the notice. Its ranks end with it.

    Args:
        directory: The run.
        node: The node's number.
        notice: Seconds between SIGTERM and SIGKILL; the script may use them for a checkpoint.

    Raises:
        InvalidInputError: The run has no such node.
        TrainstackError: Nothing of the run is running.
    """
    record, request = directory.read(), directory.request()
    if record.status is not Status.RUNNING:
        raise TrainstackError(f"run {directory.id} is {record.status.value}: only a running one has nodes to lose")
    _, count = distribution.parse(request.spec.distribution)
    if node >= count:
        raise InvalidInputError(f"run {directory.id} has no node {node}: it runs on {count}, counted from 0")
    process = target_of(request.compute).node(location.ref_of(directory), node)
    if process is None:
        raise TrainstackError(f"node {node} of run {directory.id} is not running: it has not started yet, or has ended")
    directory.event("preemption", attempt=record.attempt, node=node, notice=notice)
    process.terminate()
    deadline = time.monotonic() + notice
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if process.poll() is None:
        process.kill()
