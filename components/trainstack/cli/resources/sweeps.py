"""`trainstack sweeps`: list and show searches and their trials, and stop them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import format, output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from trainstack.core.sweeps.record import SweepDirectory

app = command_group("Sweeps: list, show, stop.")
SweepArgument = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's id, the start of one, or a name.")]


@app.command("list")
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List sweeps, newest first."""
    from trainstack.core.sweeps.record import list_sweeps
    from trainstack.core.sweeps.sweep import progress_line

    opened = open_workspace(workspace)
    sweeps = list_sweeps(opened)
    if as_json:
        output.emit_json([record.model_dump(mode="json", exclude={"trials"}) for record in sweeps])
    elif sweeps:
        output.table(
            ("id", "name", "status", "metric", "trials", "took"),
            [
                (sweep.id, sweep.name, sweep.status, sweep.metric, progress_line(sweep), format.took(sweep.spent))
                for sweep in sweeps
            ],
        )
    else:
        output.say(f"workspace {opened.name} has no sweeps yet: `pulumi up` makes them")


@app.command("show")
def show(sweep: SweepArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show a sweep and all its trials, the best first."""
    from trainstack.core.sweeps.record import resolve
    from trainstack.core.sweeps.sweep import parameter_texts, progress_line

    record = resolve(open_workspace(workspace), sweep).read()
    if as_json:
        output.emit_json(record.model_dump(mode="json"))
        return
    output.say(f"{record.name} ({record.id}) {record.status}: {progress_line(record)}")
    sign = -1 if record.goal == "maximize" else 1
    trials = sorted(record.trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0.0)))
    rows: list[tuple[object, ...]] = []
    for trial in trials:
        value = "" if trial.value is None else format.number(trial.value)
        rows.append(
            (trial.number, trial.state, value, trial.run_id, ", ".join(parameter_texts(trial.parameters)), trial.reason)
        )
    output.table(("trial", "state", record.metric, "run", "parameters", "reason"), rows)
    output.section("Importance", ("", ""), [(name, format.number(share)) for name, share in record.importance.items()])


@app.command("stop")
def stop(sweep: SweepArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Stop a sweep and its trials; the next `pulumi up` goes on with them."""
    from trainstack.core.sweeps import sweep as sweeps

    record = sweeps.stop(_find(workspace, sweep), "stopped by `trainstack sweeps stop`")
    if as_json:
        output.emit_json(record.model_dump(mode="json", exclude={"trials"}))
        return
    output.say(f"sweep {record.name} ({record.id}) {record.status}: {sweeps.progress_line(record)}")


def _find(workspace: Path | None, reference: str) -> SweepDirectory:
    from trainstack.core.sweeps.record import resolve

    return resolve(open_workspace(workspace), reference)
