"""`trainstack datasets`: list the registered ones."""

from __future__ import annotations

from trainstack.cli import format, output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace

app = command_group("Registered datasets: list.")


@app.command("list")
def list_registered(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List all versions of all datasets."""
    from trainstack.core.datasets.dataset import list_datasets

    opened = open_workspace(workspace)
    records = list_datasets(opened)
    if as_json:
        output.emit_json(
            [
                {
                    **record.model_dump(mode="json", exclude={"files"}),
                    "bytes": record.size,
                    "file_count": record.file_count,
                    "files": {file.path: file.sha256 for file in record.files},
                }
                for record in records
            ]
        )
    elif records:
        output.table(
            ("name", "version", "files", "size", "registered", "digest", "description", "tags"),
            [
                (
                    record.name,
                    record.version,
                    record.file_count,
                    format.size(record.size),
                    format.local(record.created),
                    record.digest[:12],
                    record.description,
                    format.tags(record.tags),
                )
                for record in records
            ],
        )
    else:
        output.say(f"workspace {opened.name} has no datasets yet: `pulumi up` registers them")
