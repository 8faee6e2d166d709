"""`trainstack plan` and `trainstack compare`: explain an update before and after it, to people and pull requests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption
from trainstack.core.workspace.project import pulumi_program
from trainstack.errors import TrainstackError

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


def preview_text(file: Path | None, stack: str | None, *options: str) -> str:
    """Read a preview: from a file, from standard input (`-`), or from `pulumi preview --json` run here.

    Args:
        file: The file; none runs the preview.
        stack: The stack to preview; the selected one when left out.
        options: More options of `pulumi preview`.

    Raises:
        TrainstackError: There is no Pulumi, or it printed no document.
    """
    if file is not None:
        return read_text(file)
    done = run_pulumi(stack, "preview", "--json", *options)
    if done.returncode and "{" not in done.stdout:
        raise TrainstackError(f"`pulumi preview` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def run_pulumi(stack: str | None, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Pulumi's on a stack, in place of a FILE that was not given.

    Args:
        stack: The stack; the selected one when left out.
        command: The command and its options.

    Raises:
        TrainstackError: There is no Pulumi.
    """
    program = pulumi_program()
    if program is None:
        raise TrainstackError("pulumi is not on PATH: install it, or give FILE")
    words = [program, *command, "--non-interactive", *(["--stack", stack] if stack else [])]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def read_text(path: Path) -> str:
    """Read a document from a file, or from standard input (`-`)."""
    if str(path) == "-":
        return sys.stdin.read()
    return path.read_text(encoding="utf-8", errors="replace")
