"""What failed first when an attempt ended badly: from the agents' reports, else from how the agents ended."""

from __future__ import annotations

import signal

from trainstack.agent.reporting.report import last_lines, read_report
from trainstack.core.compute import compute
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.execution import retry
from trainstack.core.runs.record import Cause, Failure
from trainstack.core.runs.request import RunRequest
from trainstack.targets.base import NodeGroup

# What an agent ends with after SIGTERM, once its ranks have had their grace period.
ASKED_TO_END = 143


def first_failure(directory: RunDirectory, group: NodeGroup, request: RunRequest) -> Failure:
    """Name the rank or node that failed first, how, and where to read on.

    Args:
        directory: The run; what its nodes wrote is all there.
        group: Its nodes, all ended.
        request: What was submitted.
    """
    failure = _reported(directory, group) or _lost_agent(directory, group)
    if reason := group.preempted():
        failure.cause, failure.reason = Cause.PREEMPTED, f"its place was taken: {reason}"
        return failure
    if failure.signal == signal.SIGKILL and group.out_of_memory():
        spec = request.compute
        failure.cause = Cause.OUT_OF_MEMORY
        failure.reason += f" ({retry.memory_hint(compute.node_capacity(spec), spec.name)})"
    return failure


def _reported(directory: RunDirectory, group: NodeGroup) -> Failure | None:
    log = directory.merged_log
    for index in range(len(group.nodes)):
        report = read_report(directory.reports, index)
        first = report.first_failure if report else None
        if report is None or first is None:
            continue
        if report.error:
            return Failure(reason=report.error, tail=last_lines(log), log=str(log))
        if first.rank is None:
            reason = first.reason + _termination_note(group, first.node)
            return Failure(cause=Cause.LOST_NODE, reason=reason, tail=last_lines(log), log=str(log))
        return Failure(
            cause=Cause.EXIT_CODE if first.signal is None else Cause.SIGNAL,
            reason=first.reason,
            rank=first.rank,
            exit_code=first.exit_code,
            signal=first.signal,
            tail=list(first.tail),
            log=str(log),
        )
    return None


def _lost_agent(directory: RunDirectory, group: NodeGroup) -> Failure:
    """No agent could say what failed: then the node itself was taken away, or its agent could not even start."""
    log = directory.merged_log
    codes = [node.poll() or 0 for node in group.nodes]
    # What its place took went first, then what was killed at once; the others were asked to end by it.
    index, code = min(
        ((index, code) for index, code in enumerate(codes) if code),
        key=lambda ended: (not group.nodes[ended[0]].termination_reason, ended[1] >= 0),
    )
    failure = Failure(tail=last_lines(log), log=str(log))
    if code < 0:
        failure.cause, failure.signal = Cause.LOST_NODE, -code
        failure.reason = f"node {index} was lost: its agent was ended by signal {-code}"
    elif code == ASKED_TO_END:
        failure.cause = Cause.LOST_NODE
        failure.reason = f"node {index} was taken away: its agent was asked to end, and not by this run"
    else:
        failure.exit_code = code
        failure.reason = f"the agent of node {index} ended with exit code {code}"
    failure.reason += _termination_note(group, index)
    return failure


def _termination_note(group: NodeGroup, index: int) -> str:
    termination_reason = group.nodes[index].termination_reason if index < len(group.nodes) else ""
    return f" ({termination_reason})" if termination_reason else ""
