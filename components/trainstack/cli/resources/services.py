"""`trainstack services`: what is served, where, and whether it answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import format, output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from trainstack.core.services.record import ServiceRecord

app = command_group("Web services: list, forward.")


@dataclass(frozen=True)
class ServiceReport:
    """A service and its health.

    Attributes:
        record: What the workspace knows of it.
        state: `healthy`, `starting`, `down` or `stopped`.
        detail: The state in a sentence.
    """

    record: ServiceRecord
    state: str
    detail: str


@app.command("list")
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List web services, and check that each answers."""
    from trainstack.core.services.service import list_services, status

    opened = open_workspace(workspace)
    reports: list[ServiceReport] = []
    for record in list_services(opened):
        health = status(opened, record.name)
        stopped = record.status == "stopped" and health.state == "down"
        reports.append(ServiceReport(record, "stopped" if stopped else health.state, health.detail))
    if as_json:
        output.emit_json([_to_json(report) for report in reports])
    elif reports:
        output.table(
            ("name", "state", "model", "scoring uri", "since"),
            [
                (
                    report.record.name,
                    report.state,
                    f"{report.record.model_name} version {report.record.model_version}",
                    report.record.scoring_uri,
                    format.local(report.record.started),
                )
                for report in reports
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
    """Forward a port of this machine to a service on a cluster, through the API server, until interrupted."""
    from trainstack.core.services.runner import runner_of
    from trainstack.core.services.service import find

    record = find(open_workspace(workspace), name)
    chosen = port or record.port
    with runner_of(record.target).forward(record, chosen, output.say):
        output.say(f"forwarding http://127.0.0.1:{chosen}/v1/models/{record.model_name}:predict; Ctrl+C ends it")
        threading.Event().wait()


def _to_json(report: ServiceReport) -> dict[str, object]:
    return {
        **report.record.model_dump(mode="json", exclude={"status"}),
        "state": report.state,
        "detail": report.detail,
        "log": str(report.record.log),
    }
