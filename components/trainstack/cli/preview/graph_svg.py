"""Draw a stack's graph as SVG: columns from left to right, each resource behind all that it comes from."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from trainstack.cli.preview.stack_graph import Graph, Node

WIDTH, LINE, PAD = 216, 16, 10
GAP_X, GAP_Y, MARGIN, HEAD = 64, 18, 24, 56
_CHARACTERS, _BOLD, _NAME = 32, 27, 24  # of a line
_MOST_LINES = 3
_PASSES = 4
_OPERATIONS = {"create": "new", "update": "changes", "replace": "is made anew", "delete": "goes"}
_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{8}\b")
_KINDS = {
    "TrainingRun": "training run",
    "AdoptedRun": "training run of elsewhere",
    "AdoptedDataset": "dataset of elsewhere",
    "AdoptedModel": "model of elsewhere",
    "WebService": "web service",
}
_STYLE = """
svg { --paper: #ffffff; --ink: #1c2530; --soft: #5b6775; --line: #c3ccd6; --box: #f6f8fa;
  --new: #1a7f37; --update: #9a6700; --replace: #bc4c00; --delete: #cf222e; --drift: #8250df;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; background: var(--paper); }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #e6edf3; --soft: #9aa6b2; --line: #3d4753;
  --box: #161b22; --new: #3fb950; --update: #d29922; --replace: #f0883e; --delete: #f85149; --drift: #a371f7; } }
.paper { fill: var(--paper); } .box { fill: var(--box); stroke: var(--line); }
text { fill: var(--ink); } .soft { fill: var(--soft); } .name { font-weight: 600; font-size: 14px; }
.title { font-weight: 600; font-size: 16px; } .edge { fill: none; stroke: var(--line); stroke-width: 1.5; }
.create { --mark: var(--new); } .update { --mark: var(--update); } .replace { --mark: var(--replace); }
.delete { --mark: var(--delete); } .marked .box { stroke: var(--mark); stroke-width: 2; }
.delete .box { stroke-dasharray: 5 4; } .badge { fill: var(--mark); font-weight: 600; } .drift { fill: var(--drift); }
"""


@dataclass(frozen=True)
class _Box:
    """Where a node stands, in pixels from the upper left."""

    x: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def svg(graph: Graph) -> str:
    """Return the picture, which needs nothing else and follows the viewer's light or dark scheme."""
    columns = _ordered(graph)
    heights = [sum(_height(node) for node in column) + GAP_Y * (len(column) - 1) for column in columns]
    tallest = max(heights, default=0)
    boxes: dict[str, _Box] = {}
    for number, (column, height) in enumerate(zip(columns, heights, strict=True)):
        y = HEAD + (tallest - height) / 2
        for node in column:
            boxes[node.urn] = _Box(MARGIN + number * (WIDTH + GAP_X), y, _height(node))
            y += _height(node) + GAP_Y
    width = 2 * MARGIN + len(columns) * WIDTH + (len(columns) - 1) * GAP_X if columns else 2 * MARGIN + WIDTH
    height = HEAD + tallest + MARGIN
    title = escape(f"Stack {graph.stack}" if graph.stack else "Stack")
    what = escape(summary(graph))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:g}" '
        f'viewBox="0 0 {width} {height:g}" role="img" aria-label="{title}: {what}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height:g}"/>',
        f'<text class="title" x="{MARGIN}" y="30">{title}</text>',
        f'<text class="soft" x="{MARGIN}" y="47">{what}</text>',
        *(_curve(boxes[source], boxes[target]) for source, target in graph.edges),
        *(_drawn(node, boxes[node.urn]) for column in columns for node in column),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def page(graph: Graph) -> str:
    """Return a page with the picture, one file that needs no server."""
    title = escape(f"Stack {graph.stack}" if graph.stack else "Stack")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<style>:root { color-scheme: light dark; } body { margin: 0; background: Canvas; overflow: auto; }</style>\n"
        f"{svg(graph)}</html>\n"
    )


def summary(graph: Graph) -> str:
    """Say in a few words how large the stack is, and how much of it would change."""
    changing = [node for node in graph.nodes if node.operation]
    if not graph.nodes:
        return "no resources yet: `pulumi up` makes them"
    count = f"{len(graph.nodes)} {'resource' if len(graph.nodes) == 1 else 'resources'}"
    if not graph.previewed:
        return count
    return f"{count}, {len(changing)} of them would change" if changing else f"{count}, nothing would change"


def _ordered(graph: Graph) -> list[list[Node]]:
    """The columns, each sorted by the middle of what its nodes are joined to, so that few lines cross."""
    columns = [list(column) for column in graph.layers]
    joined: dict[str, list[str]] = {node.urn: [] for node in graph.nodes}
    for source, target in graph.edges:
        joined[source].append(target)
        joined[target].append(source)
    for _ in range(_PASSES):
        places = _places(columns)
        for column in columns:
            column.sort(
                key=lambda node, places=places: _mean([places[urn] for urn in joined[node.urn]], places[node.urn])
            )
            places |= _places([column])
    return columns


def _places(columns: Sequence[Sequence[Node]]) -> dict[str, float]:
    return {node.urn: (row + 0.5) / len(column) for column in columns for row, node in enumerate(column)}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _lines(node: Node) -> list[tuple[str, str]]:
    """Class and text of the lines below the name."""
    lines = [("soft", fact) for fact in node.facts]
    if node.modified:
        lines.append(("soft", f"{node.modified[:16].replace('T', ' ')} UTC"))
    if node.drift:
        lines += [("drift", line) for line in _wrapped(f"drift: {node.drift}", _CHARACTERS)]
    if node.operation:
        change = _ID.sub(r"\1", node.change) or _OPERATIONS.get(node.operation, node.operation)
        lines += [("badge", line) for line in _wrapped(change, _BOLD)]
    return lines


def _height(node: Node) -> float:
    return 2 * PAD + 34 + LINE * len(_lines(node))


def _drawn(node: Node, box: _Box) -> str:
    marked = f" marked {node.operation}" if node.operation in _OPERATIONS else ""
    lines = _lines(node)
    whole = "\n".join(filter(None, [f"{_kind(node)} {node.name}", *node.facts, node.drift, node.change]))
    parts = [
        f'<g class="node{marked}"><title>{escape(whole)}</title>',
        f'<rect class="box" x="{box.x:g}" y="{box.y:g}" width="{WIDTH}" height="{box.height:g}" rx="8"/>',
        f'<text class="soft" x="{box.x + PAD:g}" y="{box.y + PAD + 10:g}">{escape(_kind(node))}</text>',
        f'<text class="name" x="{box.x + PAD:g}" y="{box.y + PAD + 28:g}">{escape(_short(node.name, _NAME))}</text>',
    ]
    for number, (style, text) in enumerate(lines):
        y = box.y + PAD + 46 + LINE * number
        parts.append(f'<text class="{style}" x="{box.x + PAD:g}" y="{y:g}">{escape(_short(text, _CHARACTERS))}</text>')
    return "".join([*parts, "</g>"])


def _curve(source: _Box, target: _Box) -> str:
    x1, x2 = source.x + WIDTH, target.x
    bend = (x2 - x1) / 2
    return (
        f'<path class="edge" d="M{x1:g},{source.middle:g} C{x1 + bend:g},{source.middle:g} '
        f'{x2 - bend:g},{target.middle:g} {x2:g},{target.middle:g}"/>'
    )


def _kind(node: Node) -> str:
    return _KINDS.get(node.kind, node.kind.lower())


def _wrapped(text: str, most: int) -> list[str]:
    return textwrap.wrap(text, most, max_lines=_MOST_LINES, placeholder=" …")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
