"""Write a stack's graph in Mermaid's language, which GitHub and GitLab draw in comments and READMEs."""

from __future__ import annotations

import re

from trainstack.cli.preview.stack_graph import Graph, Node

# What would end a label or begin Mermaid's own syntax, and HTML, which it renders.
_SPECIAL = re.compile(r"[^\w .,:;/=+@()→…%-]")
_CLASSES = {
    "create": "stroke:#1a7f37,stroke-width:2px",
    "update": "stroke:#9a6700,stroke-width:2px",
    "replace": "stroke:#bc4c00,stroke-width:2px",
    "delete": "stroke:#cf222e,stroke-width:2px,stroke-dasharray:5 4",
}


def mermaid(graph: Graph) -> str:
    """Return the graph as text; put it between ```` ```mermaid ```` and ```` ``` ````."""
    numbers = {node.urn: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR", *(f'  {numbers[node.urn]}["{_label(node)}"]' for node in graph.nodes)]
    lines += [f"  {numbers[source]} --> {numbers[target]}" for source, target in graph.edges]
    for operation, style in _CLASSES.items():
        marked = [numbers[node.urn] for node in graph.nodes if node.operation == operation]
        if marked:
            lines += [f"  classDef {operation}d {style}", f"  class {','.join(marked)} {operation}d"]
    return "\n".join(lines) + "\n"


def _label(node: Node) -> str:
    drift = [f"drift: {node.drift}"] if node.drift else []
    change = [node.change or node.operation] if node.operation else []
    return "<br>".join(_escaped(line) for line in (f"{node.kind} {node.name}", *node.facts, *drift, *change))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", " ".join(text.split())[:120])
