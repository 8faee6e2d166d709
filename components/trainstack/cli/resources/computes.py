"""`trainstack computes`: the computes of a workspace, and how many of their nodes are busy."""

from __future__ import annotations

from trainstack.cli import output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks

app = command_group("Computes: list.")


@app.command("list")
def list_computes(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List computes, and how many of their nodes are busy."""
    from trainstack.core.compute import node_sizes
    from trainstack.core.compute.compute import ComputeSpec
    from trainstack.storage.atomic import read_json

    opened = open_workspace(workspace)
    computes: list[tuple[ComputeSpec, int]] = []
    for record in sorted(opened.compute("x").parent.glob("*/compute.json")):
        try:
            spec = ComputeSpec.model_validate(read_json(record))
        except ValueError as exc:
            raise TrainstackError(f"{record} is damaged: move it away and run `pulumi up`") from exc
        busy = sum(locks.is_locked(record.parent / "slots" / str(number)) for number in range(spec.max_nodes))
        computes.append((spec, busy))
    if as_json:
        output.emit_json([{**spec.model_dump(mode="json"), "busy_nodes": busy} for spec, busy in computes])
    elif computes:
        output.table(
            ("name", "target", "size", "nodes", "busy", "priority"),
            [
                (
                    spec.name,
                    spec.target,
                    node_sizes.of_compute(spec.model_dump()),
                    f"{spec.min_nodes} to {spec.max_nodes}",
                    busy,
                    spec.priority,
                )
                for spec, busy in computes
            ],
        )
    else:
        output.say(f"workspace {opened.name} has no computes yet: `pulumi up` makes them")
