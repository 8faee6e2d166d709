"""`trainstack plan` and `trainstack compare`: explain an update before and after it, to people and pull requests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption
from trainstack.cli.preview.pulumi_command import preview_text, read_text

MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request's comment.")]


def plan(
    preview: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="What `pulumi preview --json` printed; `-` is standard input."),
    ] = None,
    stack: Annotated[
        str | None, typer.Option("--stack", metavar="STACK", help="The stack to preview where no FILE is given.")
    ] = None,
    markdown: MarkdownOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what an update would retrain and why, what follows, how long it takes and what it costs.

    Without FILE, runs `pulumi preview --json`. Exits with 1 when the preview failed, and says why.
    """
    from trainstack.cli.preview import plan_format
    from trainstack.core.preview import document, explanation
    from trainstack.core.workspace.project import project_root

    explained = explanation.explain(document.read_preview(preview_text(preview, stack)), project_root())
    if as_json:
        output.emit_json({**asdict(explained), "seconds": explained.seconds, "cost": explained.cost})
    elif markdown:
        typer.echo(plan_format.markdown(explained))
    else:
        typer.echo(plan_format.text(explained))
    if explained.errors:
        raise typer.Exit(1)


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="`pulumi stack export` of before the update.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="`pulumi stack export` of after it.")],
    markdown: MarkdownOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the metrics of what serves now with those of what served before."""
    from trainstack.cli.preview import compare_format
    from trainstack.core.preview import comparison, document

    states = [document.read_state(read_text(path)) for path in (before, after)]
    deltas = comparison.compare(*states)
    if as_json:
        output.emit_json([asdict(delta) for delta in deltas])
    elif markdown:
        typer.echo(compare_format.markdown(deltas))
    else:
        compare_format.print_tables(deltas)
