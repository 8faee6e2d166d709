"""`trainstack runs`: list, show, stop and download; `logs` is in `run_logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from trainstack.abbreviation import abbreviated
from trainstack.cli import format, output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, RunArgument, WorkspaceOption, find_run, location_of, open_workspace
from trainstack.cli.runs import preemption, run_logs, run_metrics

app = command_group("Training runs: list, show, logs, compare, plot, stop, download.")
_SHOWN = 30


def _statuses(values: list[str] | None) -> list[str] | None:
    from trainstack.core.runs.directory import Status

    statuses = [status.value for status in Status]
    for value in values or ():
        if value not in statuses:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(statuses)}")
    return values


@app.command("list")
def list_runs(
    status: Annotated[
        list[str] | None,
        typer.Option("--status", callback=_statuses, metavar="STATUS", help="Only runs of this status; repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only runs of this name.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="COUNT", help="At most so many.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    from trainstack.cli.runs.run_summary import summary
    from trainstack.core.runs import index
    from trainstack.core.runs.directory import RunDirectory

    opened = open_workspace(workspace)
    records = index.newest(opened, status or (), name, limit)
    reports = [summary(RunDirectory(opened.run(record.id)), record) for record in records]
    if as_json:
        output.emit_json(reports)
    elif reports:
        columns = ("id", "name", "status", "created", "took", "metrics", "reason")
        output.table(columns, ([*_row(run)] for run in reports))
    elif every := index.count(opened):
        output.say(f"none of the {every} runs of workspace {opened.name} fits")
    else:
        output.say(f"workspace {opened.name} has no runs yet: `pulumi up` makes them")


@app.command("show")
def show(run: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show everything about a run."""
    from trainstack.cli.runs.run_report import detail

    directory = find_run(workspace, run)
    report = detail(directory, directory.read(), location_of(directory))
    if as_json:
        output.emit_json(report)
    else:
        _print(report)


@app.command("stop")
def stop(run: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Stop a run and wait for its end.

    The script gets the run's grace period for a checkpoint. Says what came of it.
    """
    from trainstack.cli.runs.run_summary import summary
    from trainstack.core.replication.driven_run import driven_run
    from trainstack.core.runs.execution import submission
    from trainstack.core.runs.index import resolve

    opened = open_workspace(workspace)
    directory = resolve(opened, run)
    reason = "stopped by `trainstack runs stop`"
    driven = driven_run(opened, directory.id, directory.request().compute)
    record = driven.stop(reason) if driven else submission.stop(directory, reason)
    if as_json:
        output.emit_json(summary(directory, record))
        return
    reason = f": {record.reason}" if record.reason else ""
    output.say(f"run {record.name} ({record.id}) {record.status.value}{reason}")


@app.command("download")
def download(
    run: RunArgument,
    prefix: Annotated[
        str, typer.Argument(metavar="[PREFIX]", help="Start of the files' paths, as outputs/model; all when left out.")
    ] = "",
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to copy into.", show_default=True)] = Path(),
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy files that a run left.

    Those in outputs and logs whose path starts with PREFIX, folders kept.
    """
    from trainstack.core.runs import artifacts

    directory = find_run(workspace, run)
    copies = artifacts.download(directory.root, prefix, to)
    if as_json:
        output.emit_json(copies)
        return
    for copy in copies:
        typer.echo(copy)


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    metrics = [f"{name} {format.number(value)}" for name, value in run["metrics"].items()]
    return (
        run["id"],
        run["name"],
        run["status"],
        format.local(run["created"]),
        format.took(run["seconds"]),
        abbreviated(metrics, 3),
        run["reason"] + (f" (for {format.took(run['pending_seconds'])})" if run["pending_seconds"] else ""),
    )


def _cost(cost: dict[str, Any] | None) -> str:
    """What a run came to in words: node time, and its price where there is one."""
    from trainstack.core.runs.cost import money

    if cost is None:
        return ""
    held = f"{format.took(cost['node_seconds'])} of nodes{' of low priority' * (cost['priority'] == 'low')}"
    return held if cost["amount"] is None else f"{money(cost['amount'], cost['currency'])} for {held}"


def _print(run: dict[str, Any]) -> None:
    """The tables of `show`; what a run has none of is left out."""
    from trainstack.core.runs.fields import COUNTED
    from trainstack.core.runs.request import RunRequest
    from trainstack.core.runs.run_field import JSON_ALONE, ROW, run_fields

    fields = {**COUNTED, **run_fields(RunRequest)}

    def value(name: str) -> Any:
        return run.get(fields[name].key or name)

    facts = [
        ("name", run["name"]),
        ("id", run["id"]),
        ("status", run["status"]),
        ("reason", run["reason"]),
        ("created", format.local(run["created"])),
        ("took", format.took(run["seconds"])),
        ("cost", _cost(run["cost"])),
        ("attempt", run["attempt"]),
        *(
            (field.label, _cell(name, run.get(field.key or name)))
            for name, field in fields.items()
            if field.show == "row"
        ),
    ]
    output.table(("", ""), [fact for fact in facts if fact[1] not in (None, "")], header=False)
    stages = [(stage["name"], format.took(stage["seconds"]), stage["reason"]) for stage in run["stages"]]
    output.section("Stages", ("", "", ""), stages)
    output.section("Metrics", ("", ""), [(name, format.number(value)) for name, value in run["metrics"].items()])
    sections: dict[str, list[tuple[str, ...]]] = {}
    for name, field in fields.items():
        if field.show not in (ROW, JSON_ALONE):
            sections.setdefault(field.show, []).extend(_rows(name, value(name)))
    # Code comes last: it may be long.
    for title in sorted(sections, key=lambda title: title == "Code"):
        rows = sections[title]
        output.section(title, ("",) * len(rows[0]) if rows else (), _some(rows))
    outputs = [
        (file["path"], "" if file["bytes"] is None else format.size(file["bytes"]), file["sha256"] or "")
        for file in run["outputs"]
    ]
    output.section("Outputs", ("", "", ""), _some(outputs))
    output.section("Tags", ("", ""), [*run["tags"].items()])
    output.section("Paths", ("", ""), [*run["paths"].items()])
    if run["failure"]:
        output.section("Last lines", ("",), [(line,) for line in run["failure"]["tail"]])


def _cell(name: str, value: Any) -> str | None:
    """A field as a row of the first table."""
    if value is None:
        return None
    match name:
        case "environment":
            return f"{value['name']} {value['digest']}"
        case "compute":
            return str(value["name"])
        case "distribution":
            return ", ".join(str(option) if key == "kind" else f"{key} {option}" for key, option in value.items())
        case _:
            return str(value)


def _rows(name: str, value: Any) -> list[tuple[str, ...]]:
    """A field as a section of its own."""
    if not value:
        return []
    match name:
        case "arguments":
            return _arguments(value)
        case "datasets":
            return [
                (
                    key,
                    f"{dataset.get('name', key)} version {dataset.get('version', '?')}{_lent(dataset)}",
                    dataset["digest"],
                )
                for key, dataset in value.items()
            ]
        case "secret_variables":
            return [(variable, "(secret)") for variable in value]
        case _:
            return [(str(key), str(item)) for key, item in value.items()]


def _lent(dataset: dict[str, Any]) -> str:
    """How a run was given data that stays in an object store."""
    lent = dataset.get("given")
    return f", {dataset['mode']}: {lent['way']}, {lent['fetched']} of {lent['objects']} fetched" if lent else ""


def _arguments(arguments: dict[str, str | list[str] | bool] | list[str]) -> list[tuple[str, ...]]:
    from trainstack.core.runs.arguments import named

    if isinstance(arguments, list):
        return [(named(argument), "") for argument in arguments]
    return [(name, named(value)) for name, value in arguments.items()]


def _some(rows: list[Any]) -> list[Any]:
    """At most so many rows as fit a screen; JSON has them all."""
    if len(rows) <= _SHOWN:
        return rows
    blank = [""] * (len(rows[0]) - 1)
    return [*rows[:_SHOWN], (f"and {len(rows) - _SHOWN} more (--json lists all)", *blank)]


app.command("logs")(run_logs.logs)
app.command("compare")(run_metrics.compare)
app.command("plot")(run_metrics.plot)
app.command("simulate-preemption")(preemption.simulate_preemption)
