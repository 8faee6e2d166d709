"""`trainstack datasets`: list the registered ones, show one, tell two versions apart."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainstack.cli import format, output
from trainstack.cli.command_group import command_group
from trainstack.cli.completion import dataset_names
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace
from trainstack.cli.reference import FORM, parsed

if TYPE_CHECKING:
    from trainstack.core.datasets.dataset_record import DatasetRecord
    from trainstack.core.maintenance.lineage import Relative
    from trainstack.core.workspace.workspace import Workspace

app = command_group("Registered datasets: list, show, diff.")

Reference = Annotated[
    str, typer.Argument(metavar=FORM, help="A dataset; its newest version when left out.", autocompletion=dataset_names)
]
_SHOWN = 20


@app.command("list")
def list_registered(
    sizes: Annotated[bool, typer.Option("--sizes", help="What each takes, and where.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all versions of all datasets."""
    from trainstack.core.datasets.dataset import list_datasets
    from trainstack.core.datasets.sizes import sizes_of

    opened = open_workspace(workspace)
    records = list_datasets(opened)
    if as_json:
        output.emit_json(
            [
                {
                    **_document(record, {file.path: file.sha256 for file in record.files}),
                    **({"sizes": asdict(sizes_of(opened, record))} if sizes else {}),
                }
                for record in records
            ]
        )
    elif not records:
        output.say(f"workspace {opened.name} has no datasets yet: `pulumi up` registers them")
    elif sizes:
        output.table(
            ("name", "version", "files", "size", "stays at its source", "in the workspace", "in this machine's cache"),
            [
                (
                    record.name,
                    record.version,
                    record.file_count,
                    format.size(record.size),
                    *(format.size(count) for count in asdict(sizes_of(opened, record)).values()),
                )
                for record in records
            ],
        )
    else:
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


@app.command("show")
def show(
    dataset: Reference,
    lineage: Annotated[bool, typer.Option("--lineage", help="What it comes from, and what came of it.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one version: its files, its sources and, with --lineage, what it comes from and what came of it."""
    from trainstack.core.datasets.dataset import contents
    from trainstack.core.maintenance.lineage import Lineage

    opened = open_workspace(workspace)
    record = _version(opened, dataset)
    files = contents(opened, record)
    relatives = Lineage(opened) if lineage else None
    sources = relatives.sources(record) if relatives else []
    results = relatives.results(record) if relatives else []
    if as_json:
        report = _document(record, files)
        if lineage:
            report["lineage"] = {
                "sources": [asdict(relative) for relative in sources],
                "results": [asdict(relative) for relative in results],
            }
        output.emit_json(report)
        return
    facts = [
        ("dataset", f"{record.name} version {record.version}"),
        ("digest", record.digest),
        ("files", f"{record.file_count:,}, {format.size(record.size)}"),
        ("registered", format.local(record.created)),
        ("description", record.description),
        ("tags", format.tags(record.tags)),
        ("appended to", f"version {record.appended_to}" if record.appended_to else ""),
    ]
    output.table(("", ""), [fact for fact in facts if fact[1]], header=False)
    if lineage:
        output.section("Comes from", ("", "", ""), _lines(sources))
        output.section("What came of it", ("", "", ""), _lines(results))
        return
    rows = [(name, files[name][:40]) for name in sorted(files)[:_SHOWN]]
    if len(files) > _SHOWN:
        rows.append((f"and {len(files) - _SHOWN:,} more (--json lists all)", ""))
    output.section("Files", ("path", "content"), rows)


@app.command("diff")
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=f"A version, {FORM}.", autocompletion=dataset_names)],
    after: Annotated[str, typer.Argument(metavar="B", help=f"Another one, {FORM}.", autocompletion=dataset_names)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name the files that two versions differ in, by name and content; a version left out is the newest."""
    from trainstack.core.datasets.changes import file_changes
    from trainstack.core.datasets.dataset import contents

    opened = open_workspace(workspace)
    changes = file_changes(*(contents(opened, _version(opened, reference)) for reference in (before, after)))
    if as_json:
        output.emit_json(changes)
    elif not any(changes.values()):
        output.say(f"{before} and {after} have the same files")
    else:
        rows = [(kind, name) for kind, names in changes.items() for name in names]
        output.table(("", ""), rows[:1000], header=False)
        if len(rows) > 1000:
            output.say(f"and {len(rows) - 1000:,} more (--json lists all)")


def _document(record: DatasetRecord, files: dict[str, str]) -> dict[str, Any]:
    """A version for programs."""
    described = record.model_dump(mode="json", exclude={"files"})
    return {**described, "bytes": record.size, "file_count": record.file_count, "files": files}


def _version(workspace: Workspace, reference: str) -> DatasetRecord:
    from trainstack.core.datasets.dataset import find

    return find(workspace, *parsed(reference))


def _lines(relatives: list[Relative]) -> list[tuple[str, str, str]]:
    return [
        (f"{'  ' * (relative.depth - 1)}{relative.kind}", relative.name, relative.id) for relative in relatives
    ] or [("nothing that is known", "", "")]
