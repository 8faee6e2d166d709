"""The documents of Pulumi's command line: `pulumi preview --json` and `pulumi stack export`, read without Pulumi."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from trainstack.errors import InvalidInputError

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What Pulumi writes for a value that preview does not know yet."""
SECRET = "[secret]"  # noqa: S105 (what Pulumi writes in a secret's place)
_REFRESH = "refresh"
_PREFIX = "pulumi-python:dynamic/trainstack:"
_COLOUR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Resource:
    """One of our resources, as a state or a preview holds it.

    Attributes:
        urn: Pulumi's name for it.
        kind: `TrainingRun`, `Model`, …
        inputs: What it is asked to be.
        outputs: What it came to; empty where it is not there yet.
        sources: The URNs that an input comes from, by input.
        modified: When its state was written last, in ISO 8601; empty where it is not in a state.
        dependencies: The URNs that it comes from in all.
    """

    urn: str
    kind: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    sources: dict[str, list[str]]
    modified: str = ""
    dependencies: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that the program gave it."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def known(self) -> dict[str, Any]:
        """Outputs over inputs: all that is known of it."""
        return {**self.inputs, **self.outputs}


@dataclass(frozen=True)
class Step:
    """What preview says would happen to one of our resources.

    Attributes:
        operation: `create`, `update`, `replace`, `delete`, `same`.
        resource: As it would be, or as it was.
        old: As it is; none for a create.
        new: As it would be; none for a delete.
    """

    operation: str
    resource: Resource
    old: Resource | None
    new: Resource | None


@dataclass(frozen=True)
class Preview:
    """What `pulumi preview --json` says.

    Attributes:
        stack: The stack's name, empty where no resource tells it.
        config: The stack's configuration; secrets are blinded.
        steps: One a resource of ours that changes, in the engine's order.
        unchanged: How many resources stay as they are, those of others too.
        messages: Severity and text of each message that concerns the whole.
    """

    stack: str
    config: dict[str, str]
    steps: list[Step]
    unchanged: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def errors(self) -> list[str]:
        """Why the preview failed; none when it did not."""
        return [text for severity, text in self.messages if severity == "error"]


def read_preview(text: str) -> Preview:
    """Read what `pulumi preview --json` printed; lines that other programs printed before it are skipped.

    Raises:
        InvalidInputError: There is no such document in the text.
    """
    document = _document(text, "pulumi preview --json")
    steps: dict[str, Step] = {}
    for step in _mappings(document.get("steps")):
        operation = str(step.get("op"))
        # A replacement is told in three steps; the first that names both states says it all.
        operation = {"create-replacement": "replace", "delete-replaced": "replace"}.get(operation, operation)
        old, new = _resource(step.get("oldState")), _resource(step.get("newState"))
        resource = new or old
        if resource is None:
            continue
        before = steps.get(resource.urn)
        # With `--refresh` the engine first tells what it found, then what it would do: that is what counts.
        if before is None or (operation != _REFRESH and before.operation == _REFRESH) or _fuller(old, new, before):
            steps[resource.urn] = Step(operation, resource, old, new)
    every = _mappings(document.get("steps"))
    urns = [str(step.get("urn", "")) for step in every]
    stack = next((urn.split(":")[2] for urn in urns if urn.count(":") > 3), "")
    config = {str(name): str(value) for name, value in _mapping(document.get("config")).items()}
    messages = [
        (str(message.get("severity", "info")), _COLOUR.sub("", str(message.get("message", ""))).strip())
        for message in _mappings(document.get("diagnostics"))
    ]
    same = _mapping(document.get("changeSummary")).get("same", 0)
    return Preview(stack, config, list(steps.values()), int(same), messages)


def read_state(text: str) -> list[Resource]:
    """Read what `pulumi stack export` printed: our resources.

    Raises:
        InvalidInputError: It is not such a document.
    """
    deployment = _mapping(_document(text, "pulumi stack export").get("deployment"))
    states = (_resource(state) for state in _mappings(deployment.get("resources")))
    return [resource for resource in states if resource is not None]


def _fuller(old: Resource | None, new: Resource | None, before: Step) -> bool:
    """Whether a step says more than one before it of the same operation."""
    return old is not None and new is not None and (before.old is None or before.new is None)


def _document(text: str, command: str) -> dict[str, Any]:
    # Without a line that begins with a brace this leads to the end of the text, where no document is either.
    start = 0 if text.startswith("{") else f"{text}\n{{".index("\n{") + 1
    try:
        document, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError as exc:
        excerpt = " ".join(_COLOUR.sub("", text).split())[:300] or "nothing"
        raise InvalidInputError(f"not what `{command}` prints: {excerpt}") from exc
    return _mapping(document)


def _resource(state: object) -> Resource | None:
    entry = _mapping(state)
    kind = str(entry.get("type", ""))
    if not kind.startswith(_PREFIX):
        return None
    inputs, outputs = _mapping(entry.get("inputs")), _mapping(entry.get("outputs"))
    for properties in (inputs, outputs):
        properties.pop("__provider", None)
    sources = _mapping(entry.get("propertyDependencies"))
    return Resource(
        urn=str(entry.get("urn", "")),
        kind=kind.removeprefix(_PREFIX),
        inputs=inputs,
        outputs=outputs,
        sources={name: [str(urn) for urn in urns or ()] for name, urns in sources.items()},
        modified=str(entry.get("modified") or ""),
        dependencies=tuple(map(str, entry.get("dependencies") or ())),
    )


def _mapping(value: object) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[dict[str, Any]]:
    return [_mapping(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
