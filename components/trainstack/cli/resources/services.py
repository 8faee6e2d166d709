"""`trainstack services`: what is served, where, and whether it answers."""

from __future__ import annotations

import threading
from typing import Annotated, Any

import typer

from trainstack.cli import format, output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace
from trainstack.errors import InvalidInputError

app = command_group("Web services: list, forward.")


@app.command("list")
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List web services, and ask each how it does."""
    from trainstack.core.services.service import list_services, status

    opened = open_workspace(workspace)
    found: list[dict[str, Any]] = []
    for record in list_services(opened):
        asked = status(opened, record.name)
        stopped = record.status == "stopped" and asked.state == "down"
        found.append(
            {
                **record.model_dump(mode="json", exclude={"status"}),
                "state": "stopped" if stopped else asked.state,
                "detail": asked.detail,
                "log": str(record.log),
            }
        )
    if as_json:
        output.emit_json(found)
    elif found:
        output.table(
            ("name", "state", "model", "scoring uri", "since"),
            [
                (
                    one["name"],
                    one["state"],
                    f"{one['model_name']} version {one['model_version']}",
                    one["scoring_uri"],
                    format.local(one["started"]),
                )
                for one in found
            ],
        )
    else:
        output.say(f"workspace {opened.name} has no services yet: `pulumi up` starts them")


@app.command("forward")
def forward(
    name: Annotated[str, typer.Argument(help="The service.")],
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of this machine; that of its scoring URI when left out.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Lead a port of this machine to a service on a cluster, through the API server, until interrupted."""
    from trainstack.core.services.service import find
    from trainstack.targets.kubernetes.api.client import Access
    from trainstack.targets.kubernetes.api.port_forward import forwarding
    from trainstack.targets.kubernetes.config import Cluster

    record = find(open_workspace(workspace), name)
    if record.target != "kubernetes":
        raise InvalidInputError(
            f"service {name} is not on a cluster: it is reached at {record.scoring_uri}", field="name"
        )
    chosen = port or record.port
    with forwarding(Access(record.cluster or Cluster()), record.object_name, chosen, output.say):
        output.say(f"forwarding http://127.0.0.1:{chosen}/v1/models/{record.model_name}:predict; Ctrl+C ends it")
        threading.Event().wait()
