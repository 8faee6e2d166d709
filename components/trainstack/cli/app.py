"""Register the commands. Each imports what it needs when it runs, so that the command line starts at once."""

from __future__ import annotations

from typing import Annotated

import typer

from trainstack.cli import init, lock, ui, workspace, workspace_create
from trainstack.cli.command_group import RootGroup, command_group, help_when_bare
from trainstack.cli.doctor import doctor
from trainstack.cli.maintenance import fsck, gc, purge
from trainstack.cli.preview import graph, plan
from trainstack.cli.resources import computes, datasets, environments, models, services, sweeps
from trainstack.cli.runs import preemption, run_logs, run_metrics, runs

app = command_group(
    "List, follow and stop training runs, list what they use and make, check the machine.", cls=RootGroup
)


def _version(requested: bool) -> None:
    if requested:
        from importlib import metadata

        try:
            typer.echo(f"trainstack {metadata.version('trainstack')}")
        except metadata.PackageNotFoundError:
            typer.echo("trainstack, not installed as a package")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    help_when_bare(context)


runs.app.command("logs")(run_logs.logs)
runs.app.command("compare")(run_metrics.compare)
runs.app.command("plot")(run_metrics.plot)
runs.app.command("simulate-preemption")(preemption.simulate_preemption)
app.add_typer(runs.app, name="runs")
app.add_typer(sweeps.app, name="sweeps")
app.add_typer(datasets.app, name="datasets")
app.add_typer(models.app, name="models")
app.add_typer(environments.app, name="environments")
app.add_typer(services.app, name="services")
app.add_typer(computes.app, name="computes")
workspace.app.command("create")(workspace_create.create)
app.add_typer(workspace.app, name="workspace")
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)
app.command("lock")(lock.lock)
app.command("plan")(plan.plan)
app.command("compare")(plan.compare)
app.command("graph")(graph.graph)
app.command("gc")(gc.gc)
app.command("fsck")(fsck.fsck)
app.command("purge")(purge.purge)
app.command("ui")(ui.ui)
app.command("tensorboard")(run_metrics.tensorboard)
