"""A stack as a graph: what it has, what comes from what, and what a preview would change."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainstack.abbreviation import abbreviated
from trainstack.cli.format import size as bytes_in_words
from trainstack.cli.format import took
from trainstack.core.preview.document import UNKNOWN, Preview, Resource
from trainstack.core.preview.explanation import Explanation

KINDS = (
    *("Workspace", "Compute", "Environment", "Dataset", "AdoptedDataset"),
    *("TrainingRun", "AdoptedRun", "Sweep", "Model", "AdoptedModel", "WebService"),
)
"""What is drawn. The rest (images, a namespace that is kept) is part of one of these."""


@dataclass(frozen=True)
class Node:
    """A resource.

    Attributes:
        urn: Pulumi's name for it.
        kind: `TrainingRun`, `Model`, …
        name: The name that the program gave it.
        facts: What is known of it, in a few words each.
        drift: What a refresh found to differ; empty for nothing.
        modified: When its state was written last, ISO 8601; empty where it is not there yet.
        operation: What a preview would do to it: `create`, `update`, `replace`, `delete`; empty for nothing.
        change: What becomes of it, in words.
    """

    urn: str
    kind: str
    name: str
    facts: list[str]
    drift: str = ""
    modified: str = ""
    operation: str = ""
    change: str = ""


@dataclass(frozen=True)
class Graph:
    """A stack.

    Attributes:
        stack: Its name.
        nodes: Its resources.
        edges: Pairs of URNs: what something comes from, and that. What follows from others is left out.
        previewed: Whether a preview took part.
    """

    stack: str
    nodes: list[Node]
    edges: list[tuple[str, str]]
    previewed: bool = False

    @property
    def layers(self) -> list[list[Node]]:
        """The nodes in columns: each behind all that it comes from, and right before its first use."""
        before: dict[str, list[str]] = {node.urn: [] for node in self.nodes}
        after: dict[str, list[str]] = {node.urn: [] for node in self.nodes}
        for source, target in self.edges:
            before[target].append(source)
            after[source].append(target)

        @functools.cache
        def depth(urn: str) -> int:
            return max((depth(source) + 1 for source in before[urn]), default=0)

        @functools.cache
        def column(urn: str) -> int:
            return min((column(target) - 1 for target in after[urn]), default=depth(urn))

        columns: dict[int, list[Node]] = {}
        for node in self.nodes:
            columns.setdefault(column(node.urn), []).append(node)
        return [columns[number] for number in sorted(columns)]


def graph(resources: Iterable[Resource], preview: Preview | None = None, explained: Explanation | None = None) -> Graph:
    """Draw up a stack's graph.

    Args:
        resources: What the stack has, from `pulumi stack export`.
        preview: What would change; nothing where none was made.
        explained: What the preview means, in words.
    """
    by_urn = {resource.urn: resource for resource in resources if resource.kind in KINDS}
    operations: dict[str, str] = {}
    for step in preview.steps if preview else ():
        if step.resource.kind in KINDS and step.operation not in ("same", "read", "refresh"):
            operations[step.resource.urn] = step.operation
            # What is there already is shown as it is.
            by_urn.setdefault(step.resource.urn, step.resource)
    words = _words(explained) if explained else {}
    nodes = [
        Node(
            urn=urn,
            kind=resource.kind,
            name=resource.name,
            facts=_facts(resource),
            drift="; ".join(map(str, resource.outputs.get("drift") or ())),
            modified=resource.modified,
            operation=operations.get(urn, ""),
            change=words.get((resource.kind, resource.name), "") if urn in operations else "",
        )
        for urn, resource in by_urn.items()
    ]
    nodes.sort(key=lambda node: (KINDS.index(node.kind), node.name))
    stack = next((urn.split(":")[2] for urn in by_urn if urn.count(":") > 3), preview.stack if preview else "")
    return Graph(stack, nodes, _reduced(_edges(by_urn)), preview is not None)


def _edges(by_urn: Mapping[str, Resource]) -> dict[str, set[str]]:
    """Return what each resource comes from."""
    return {
        urn: {source for source in resource.dependencies if source in by_urn and source != urn}
        for urn, resource in by_urn.items()
    }


def _reduced(sources: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Leave out what other edges say already: a run of a compute is a run of the compute's workspace."""
    above: dict[str, set[str]] = {}

    def all_above(urn: str) -> set[str]:
        if urn not in above:
            above[urn] = set()
            above[urn] = sources[urn].union(*map(all_above, sources[urn]))
        return above[urn]

    return [
        (source, urn)
        for urn, direct in sources.items()
        for source in sorted(direct)
        if not any(source in all_above(other) for other in direct if other != source)
    ]


def _words(explained: Explanation) -> dict[tuple[str, str], str]:
    words = {(change.kind, change.name): change.text for change in explained.downstream}
    for run in explained.runs:
        text = f"{run.verdict}: {'; '.join(run.reasons)}" if run.reasons else run.verdict
        words |= {("TrainingRun", run.name): text, ("Sweep", run.name): text}
    return words


def _facts(resource: Resource) -> list[str]:
    describe = _FACTS.get(resource.kind)
    return [fact for fact in describe(resource.known) if fact] if describe else []


def _run(properties: Mapping[str, Any]) -> list[str]:
    duration = properties.get("duration")
    metrics: Mapping[str, float] = properties.get("metrics") or {}
    values = [f"{name} {value:.4g}" for name, value in metrics.items()]
    status = _text(properties.get("status"))
    if isinstance(duration, int | float):
        status += f" in {took(duration)}"
    return [status, *values[:2], _text(properties.get("run_id"))[:8]]


def _dataset(properties: Mapping[str, Any]) -> list[str]:
    count, size = properties.get("file_count"), properties.get("size")
    files = f"{count:.0f} {'file' if count == 1 else 'files'}" if isinstance(count, int | float) else ""
    if files and isinstance(size, int | float):
        files += f", {bytes_in_words(int(size))}"
    return [_version(properties), files]


def _model(properties: Mapping[str, Any]) -> list[str]:
    aliases: Mapping[str, Any] = properties.get("aliases") or {}
    return [_version(properties), abbreviated(sorted(aliases), 3), _text(properties.get("framework"))]


def _service(properties: Mapping[str, Any]) -> list[str]:
    version = properties.get("model_version")
    model = f"{properties.get('model_name', '')} {_version({'version': version})}".strip()
    return [model, _text(properties.get("scoring_uri"))]


def _compute(properties: Mapping[str, Any]) -> list[str]:
    nodes = properties.get("max_nodes")
    most = f"up to {nodes:.0f} {'node' if nodes == 1 else 'nodes'}" if isinstance(nodes, int | float) else ""
    return [_text(properties.get("target")), most, _text(properties.get("priority")).replace("dedicated", "")]


def _environment(properties: Mapping[str, Any]) -> list[str]:
    packages: Mapping[str, str] = properties.get("packages") or {}
    tensorflow = next((f"{name} {version}" for name, version in packages.items() if name.startswith("tensorflow")), "")
    count = f"{len(packages)} {'package' if len(packages) == 1 else 'packages'}" if packages else ""
    return [tensorflow, count]


def _version(properties: Mapping[str, Any]) -> str:
    version = properties.get("version")
    return f"version {version:.0f}" if isinstance(version, int | float) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) and value != UNKNOWN else ""


_FACTS: dict[str, Callable[[Mapping[str, Any]], Sequence[str]]] = {
    "Workspace": lambda properties: [_text(properties.get("root"))],
    "Compute": _compute,
    "Environment": _environment,
    "Dataset": _dataset,
    "AdoptedDataset": _dataset,
    "TrainingRun": _run,
    "AdoptedRun": _run,
    "Model": _model,
    "AdoptedModel": _model,
    "WebService": _service,
}
