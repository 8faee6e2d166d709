"""`trainstack models`: list the registered ones."""

from __future__ import annotations

from pathlib import Path

from trainstack.cli import format, output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace

app = command_group("Registered models: list.")


@app.command("list")
def list_registered(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List all versions of all models."""
    from trainstack.core.models.model import list_models

    opened = open_workspace(workspace)
    records = list_models(opened)
    if as_json:
        # In an object store a model has no folder: its files are blobs.
        paths = [record.path if Path(record.path).is_dir() else None for record in records]
        reports = [
            {**record.model_dump(mode="json"), "path": path} for record, path in zip(records, paths, strict=True)
        ]
        output.emit_json(reports)
    elif records:
        output.table(
            ("name", "version", "framework", "run", "registered", "digest", "description", "tags"),
            [
                (
                    record.name,
                    record.version,
                    f"{record.framework} {record.framework_version or ''}".strip(),
                    record.run_id,
                    format.local(record.created),
                    record.digest[:12],
                    record.description,
                    format.tags(record.tags),
                )
                for record in records
            ],
        )
    else:
        output.say(f"workspace {opened.name} has no models yet: `pulumi up` registers them")
