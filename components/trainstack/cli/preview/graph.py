"""`trainstack graph`: a picture of a stack."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption
from trainstack.cli.preview.pulumi_command import preview_text, state_text
from trainstack.errors import InvalidInputError, TrainstackError

_SUFFIXES = (".svg", ".html", ".mmd")


def graph(
    state: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="What `pulumi stack export` printed; `-` is standard input."),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Run `pulumi preview` too, and mark what would change.")
    ] = False,
    preview_file: Annotated[
        Path | None,
        typer.Option("--preview-file", metavar="FILE", help="What `pulumi preview --json` printed, to mark changes."),
    ] = None,
    stack: Annotated[
        str | None, typer.Option("--stack", metavar="STACK", help="The stack to draw where no FILE is given.")
    ] = None,
    picture: Annotated[
        Path,
        typer.Option(
            "--output", metavar="FILE", help="Where to: .svg, .html (a page), or .mmd (Mermaid, for pull requests)."
        ),
    ] = Path("stack.svg"),
    as_json: JsonOption = False,
) -> None:
    """Draw the stack: workspace, data, runs, models and services, with versions, status, age and what would change.

    Without FILE, runs `pulumi stack export`. The picture is one file, light or dark as the viewer is.
    """
    from trainstack.cli.preview import graph_mermaid, graph_svg, stack_graph
    from trainstack.core.preview import document, explanation
    from trainstack.core.workspace.project import project_root

    if picture.suffix not in _SUFFIXES:
        raise InvalidInputError(f"--output {picture}: a picture's name ends with {', '.join(_SUFFIXES)}")
    resources = document.read_state(state_text(state, stack))
    previewed = explained = None
    if preview or preview_file:
        previewed = document.read_preview(preview_text(preview_file, stack))
        explained = explanation.explain(previewed, project_root())
        if explained.errors:
            raise TrainstackError(f"the preview failed: {explained.errors[0]}")
    drawn = stack_graph.graph(resources, previewed, explained)
    if as_json:
        output.emit_json({"stack": drawn.stack, "nodes": [asdict(node) for node in drawn.nodes], "edges": drawn.edges})
        return
    draw = {".svg": graph_svg.svg, ".html": graph_svg.page, ".mmd": graph_mermaid.mermaid}[picture.suffix]
    picture.write_text(draw(drawn), encoding="utf-8")
    output.say(f"wrote {picture}: {graph_svg.summary(drawn)}")
