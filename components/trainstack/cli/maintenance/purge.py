"""`trainstack purge`: the one command that deletes history permanently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import format, output
from trainstack.cli.completion import dataset_names, model_names, run_names
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace
from trainstack.cli.reference import FORM, parsed

if TYPE_CHECKING:
    from trainstack.core.maintenance.purge import Victim
    from trainstack.core.workspace.workspace import Workspace


def purge(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run's id, the start of one, or a name.", autocompletion=run_names),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar=FORM, help="A model, or one version.", autocompletion=model_names)
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar=FORM, help="A dataset, or one version.", autocompletion=dataset_names),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a run, model or dataset permanently.

    Asks first. Refuses what a running run, a service or another record still needs. Files that datasets and models
    share stay until `trainstack gc --delete`.
    """
    if sum(choice is not None for choice in (run, model, dataset)) != 1:
        raise typer.BadParameter(f"name one of RUN, --model {FORM}, --dataset {FORM}")
    if as_json and not yes:
        raise typer.BadParameter("--json cannot ask for confirmation: add --yes")
    from trainstack.core.maintenance import purge as purging
    from trainstack.core.maintenance import store_purge
    from trainstack.core.workspace.origin import origin_of

    opened = open_workspace(workspace)
    victims = _victims(opened, run, model, dataset)
    purging.check(opened, victims)
    if not yes:
        for victim in victims:
            output.say(f"{purging.label_of(victim)}: {victim.path}, {format.size(victim.size)}")
        typer.confirm("Delete for good?", abort=True)
    if store := origin_of(opened.root):
        store_purge.purge(store, victims, output.note)
        open_workspace(workspace)
    else:
        purging.purge(opened, victims, output.note)
    if as_json:
        output.emit_json(
            [
                {
                    "kind": victim.kind,
                    "name": victim.name,
                    "version": victim.version or None,
                    "bytes": victim.size,
                    "path": str(victim.path),
                }
                for victim in victims
            ]
        )
        return
    for victim in victims:
        output.say(f"purged {purging.label_of(victim)}, {format.size(victim.size)} freed")
    output.say("`trainstack gc` says what can be reclaimed now")


def _victims(workspace: Workspace, run: str | None, model: str | None, dataset: str | None) -> list[Victim]:
    from trainstack.core.maintenance import purge as purging
    from trainstack.core.runs.index import resolve

    if run is not None:
        return purging.run(workspace, resolve(workspace, run))
    if model is not None:
        return purging.models(workspace, *parsed(model))
    return purging.datasets(workspace, *parsed(dataset or ""))
