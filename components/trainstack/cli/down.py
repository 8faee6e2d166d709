"""`trainstack down`: stop what goes on after `pulumi up`, the model servers and the history's server."""

from __future__ import annotations

from trainstack.abbreviation import counted
from trainstack.cli import output
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace


def down(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Stop the workspace's web services and MLflow server on this machine; the next `pulumi up` starts them again.

    Runs that train go on, and nothing is deleted. `pulumi destroy` takes a stack down for good.
    """
    from trainstack.core.services import service
    from trainstack.core.tracking import tracking_server
    from trainstack.targets import registry

    opened = open_workspace(workspace)
    stopped: list[str] = []
    for record in service.list_services(opened):
        here = registry.capabilities(record.target).same_machine
        if here and service.status(opened, record.name).state != "down":
            output.note(f"stopping service {record.name}")
            service.stop(opened, record.name)
            stopped.append(record.name)
    serving = tracking_server.running(opened)
    tracking_server.stop(opened)
    if as_json:
        output.emit_json({"services": stopped, "tracking": serving})
        return
    history = " and the history's server" if serving else ""
    output.say(f"stopped {counted(len(stopped), 'service')}{history}; `pulumi up` starts services again")
