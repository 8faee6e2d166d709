"""`trainstack services`: what is served, where, and whether it answers."""

from __future__ import annotations

from typing import Any

from trainstack.cli import output, wording
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace

app = command_group("Web services: list.")


@app.command("list")
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List web services, and ask each how it does."""
    from trainstack.lifecycle.services.service import list_services, status

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
                    wording.local(one["started"]),
                )
                for one in found
            ],
        )
    else:
        output.say(f"workspace {opened.name} has no services yet: `pulumi up` starts them")
