"""`trainstack runs simulate-preemption`: take a node away, to see that nothing is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption, RunArgument, WorkspaceOption, find_run


def simulate_preemption(
    run: RunArgument,
    node: Annotated[int, typer.Option("--node", min=0, metavar="NUMBER", help="Which node, from 0.")] = 0,
    notice: Annotated[
        float, typer.Option("--notice", min=0, metavar="SECONDS", help="Between SIGTERM and SIGKILL.")
    ] = 2.0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a node from a running run, as a cloud reclaims a spot machine.

    The run goes on by itself when it has attempts left (`max_attempts`), else with the next `pulumi up`.
    """
    from trainstack.core.runs.execution.preemption import preempt

    directory = find_run(workspace, run)
    request = directory.request()
    preempt(directory, node, notice=notice)
    if as_json:
        output.emit_json({"id": directory.id, "node": node})
        return
    goes_on = "it may start again by itself" if request.max_attempts > 1 else "the next `pulumi up` goes on with it"
    output.say(f"node {node} of run {directory.id} is gone: {goes_on}; see `trainstack runs show {directory.id}`")
