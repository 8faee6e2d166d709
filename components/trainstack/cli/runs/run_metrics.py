"""`trainstack runs compare`, `runs plot` and `tensorboard`: what runs logged, side by side."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from trainstack.cli import format, output
from trainstack.cli.completion import run_names
from trainstack.cli.options import JsonOption, RunArgument, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from trainstack.core.runs.directory import RunDirectory
    from trainstack.core.workspace.workspace import Workspace

_DIFF_LINES = 200
# TensorBoard up to 2.16 asks `pkg_resources` for its plugins, which setuptools has no more since 82.
_TENSORBOARD = """
import importlib.metadata, importlib.util, sys, types
if importlib.util.find_spec("pkg_resources") is None:
    def iter_entry_points(group, name=None):
        for entry in importlib.metadata.entry_points(group=group):
            if name in (None, entry.name):
                yield types.SimpleNamespace(name=entry.name, resolve=entry.load, load=entry.load)
    module = types.ModuleType("pkg_resources")
    module.iter_entry_points = iter_entry_points
    sys.modules["pkg_resources"] = module
from tensorboard.main import run_main
run_main()
"""
Points = list[tuple[int, float]]


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A run's id, the start of one, or a name.", autocompletion=run_names)
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.", autocompletion=run_names)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs: arguments, metrics, data, packages, and the code line by line."""
    from trainstack.core.runs.index import resolve

    opened = open_workspace(workspace)
    comparison = compared(opened, resolve(opened, first), resolve(opened, second))
    if as_json:
        output.emit_json(comparison)
        return
    names = [f"{summary['name']} ({summary['id'][:8]})" for summary in comparison["runs"]]
    output.table(("", *names), [("status", *(summary["status"] for summary in comparison["runs"]))])
    for title in ("arguments", "metrics", "datasets", "environment"):
        rows = [(name, *map(_cell, pair)) for name, pair in comparison[title].items()]
        output.section(title.capitalize(), ("", *names), rows)
    if comparison["code"]:
        typer.echo("\n".join(["", *comparison["code"]]))
    elif not any(comparison[title] for title in ("arguments", "datasets", "environment")):
        output.say("nothing that decides the result differs")


def plot(
    run: RunArgument,
    metrics: Annotated[
        list[str] | None, typer.Argument(metavar="[METRIC]…", help="The metrics; all when left out.")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="RUN", help="Another run; repeatable.", autocompletion=run_names),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="A .png or .svg to write.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Plot metrics by step, in the terminal or into a file."""
    from trainstack.core.runs.index import resolve
    from trainstack.errors import NotFoundError

    if to is not None and to.suffix not in (".png", ".svg"):
        raise typer.BadParameter(f"{to} is neither .png nor .svg")
    opened = open_workspace(workspace)
    directories = [resolve(opened, reference) for reference in (run, *(more or []))]
    runs = [(directory.id, _metrics(directory)) for directory in directories]
    logged = sorted({name for _, by_name in runs for name in by_name})
    missing = [name for name in metrics or () if name not in logged]
    if missing or not logged:
        raise NotFoundError(f"no metric {', '.join(missing)} to plot: there is {', '.join(logged) or 'none'}")
    series = _series(runs, metrics or logged)
    for name, points in series.items():
        if len(points) == 1:
            step, value = points[0]
            output.note(f"{name} is one point, {format.number(value)} at step {step}: the script logged it once")
    if to is not None:
        from trainstack.core.sweeps.plot import lines
        from trainstack.storage.atomic import write_bytes

        write_bytes(to, lines(", ".join(metrics or [run]), series, to.suffix[1:]))
        output.say(str(to))
        return
    # It has no type stubs.
    screen: Any = importlib.import_module("plotext")
    screen.clear_figure()
    screen.theme("clear")
    for name, points in series.items():
        draw = screen.plot if len(points) > 1 else screen.scatter
        draw([step for step, _ in points], [value for _, value in points], label=name)
    screen.plot_size(100, 25)
    screen.xlabel("step")
    typer.echo(screen.build())


def tensorboard(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs, by id, start of one, or name.")],
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Its port on 127.0.0.1.")] = 6006,
    workspace: WorkspaceOption = None,
) -> None:
    """Open the TensorBoard logs that runs wrote to ./logs.

    TensorBoard comes from the first run's own environment. Ctrl-C ends it.
    """
    import os

    from trainstack.core.environments import environment
    from trainstack.core.runs.index import resolve
    from trainstack.errors import NotFoundError, TrainstackError

    opened = open_workspace(workspace)
    directories = [resolve(opened, reference) for reference in runs]
    for directory in directories:
        if not any(directory.logs.rglob("events.out.tfevents.*")):
            raise NotFoundError(f"run {directory.id} wrote no TensorBoard logs below ./logs")
    locked = directories[0].request().environment
    if "tensorboard" not in locked.lock.packages:
        raise TrainstackError(f"the environment of run {directories[0].id} has no tensorboard: add it to its packages")
    python = environment.build(locked.spec, locked.lock, output.note).python
    logs = ",".join(f"{directory.read().name}-{directory.id[:8]}:{directory.logs}" for directory in directories)
    output.say(f"http://127.0.0.1:{port}")
    words = [str(python), "-c", _TENSORBOARD, "--logdir_spec", logs, "--host", "127.0.0.1", "--port", str(port)]
    os.execv(words[0], words)  # noqa: S606 - there is no shell to go through


def compared(workspace: Workspace, *runs: RunDirectory) -> dict[str, Any]:
    """What differs between two runs, by what it is; metrics are told whether they differ or not."""
    from trainstack.cli.runs.run_report import detail

    first, second = (detail(run, run.read(), str(run.root)) for run in runs)
    packages = [_packages(run) for run in runs]
    return {
        "runs": [{key: report[key] for key in ("id", "name", "status")} for report in (first, second)],
        "arguments": _differing(_by_name(first.get("arguments")), _by_name(second.get("arguments"))),
        "metrics": {
            name: [first["metrics"].get(name), second["metrics"].get(name)]
            for name in sorted({*first["metrics"], *second["metrics"]})
        },
        "datasets": _differing(
            *(
                {name: report["digest"][:12] for name, report in lines.get("datasets", {}).items()}
                for lines in (first, second)
            )
        ),
        "environment": _differing(packages[0], packages[1]),
        "code": _code(workspace, first.get("code", {}), second.get("code", {})),
    }


def _code(workspace: Workspace, first: dict[str, str], second: dict[str, str]) -> list[str]:
    lines: list[str] = []
    for name in sorted({*first, *second}):
        if first.get(name) != second.get(name):
            before, after = _text(workspace, first.get(name)), _text(workspace, second.get(name))
            lines += difflib.unified_diff(before, after, f"A/{name}", f"B/{name}", lineterm="")
    hidden = len(lines) - _DIFF_LINES
    return [*lines[:_DIFF_LINES], f"and {hidden} more lines"] if hidden > 0 else lines


def _text(workspace: Workspace, digest: str | None) -> list[str]:
    if digest is None:
        return []
    path = workspace.blobs.path(digest)
    if not path.is_file():
        return [f"(the blob {digest[:12]} is gone)"]
    data = path.read_bytes()
    return [f"(binary, {digest[:12]})"] if b"\0" in data else data.decode(errors="replace").splitlines()


def _packages(run: RunDirectory) -> dict[str, str]:
    from trainstack.cli.runs.run_report import submitted

    request = submitted(run)
    if request is None:
        return {}
    environment = request.spec.environment
    return {"python": environment.python, **environment.packages}


def _by_name(arguments: Any) -> dict[str, str]:
    if isinstance(arguments, dict):
        mapping = cast("dict[str, Any]", arguments)
        return {
            name: " ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else str(value)
            for name, value in mapping.items()
        }
    words: list[str] = arguments or []
    return {"": " ".join(words)} if words else {}


def _differing(first: dict[str, str], second: dict[str, str]) -> dict[str, list[str | None]]:
    names = sorted({*first, *second})
    return {name: [first.get(name), second.get(name)] for name in names if first.get(name) != second.get(name)}


def _cell(value: Any) -> str:
    return format.number(value) if isinstance(value, float) else str(value) if value is not None else "-"


def _metrics(run: RunDirectory) -> dict[str, Points]:
    from trainstack.mlflow import metric_files

    return {
        name: sorted({point.step: point.value for point in points}.items())
        for name, points in metric_files.read(run.tracking).items()
    }


def _series(runs: list[tuple[str, dict[str, Points]]], metrics: list[str]) -> dict[str, Points]:
    series: dict[str, Points] = {}
    for run_id, by_name in runs:
        for name, points in by_name.items():
            if name in metrics:
                series[name if len(runs) == 1 else f"{run_id[:8]} {name}"] = points
    return series
