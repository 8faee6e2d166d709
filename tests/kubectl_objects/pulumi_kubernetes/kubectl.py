"""The provider of an object that kubectl applies."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, UpdateResult

from trainstack.errors import TrainstackError
from trainstack.provider.base import BaseProvider, Properties, integral, known, own

_SECONDS = 120


class KubectlProvider(BaseProvider):
    """What `kubectl apply` makes of an object."""

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Whether it is another object, or the same with other content."""
        if not known(news["object"]):
            return DiffResult(changes=True)
        before, after = (_without(it["object"], news["kept"]) for it in (olds, news))
        replaces = ["object"] if _address(before) != _address(after) or olds["context"] != news["context"] else []
        return DiffResult(changes=before != after or bool(olds.get("drift")), replaces=replaces)

    def create(self, props: Properties) -> CreateResult:
        """Apply it."""
        inputs = own(props)
        self._apply(inputs)
        return CreateResult("/".join(_address(inputs["object"])), inputs)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Apply it again."""
        inputs = own(_news)
        self._apply(inputs)
        return UpdateResult({**inputs, "drift": []})

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Find out whether it is there."""
        inputs = own(props)
        found = _kubectl(inputs, "get", "--ignore-not-found", "-o", "name", *_named(inputs["object"]))
        return ReadResult(id_, inputs) if found.strip() else ReadResult("", {})

    def delete(self, _id: str, _props: Properties) -> None:
        """Remove it, and wait until it has gone."""
        _kubectl(own(_props), "delete", "--ignore-not-found", "--timeout=90s", *_named(_props["object"]))

    def _apply(self, inputs: Properties) -> None:
        text = json.dumps(_with_kept(inputs))
        _kubectl(
            inputs, "apply", "--server-side", "--force-conflicts", "--field-manager=trainstack", "-f", "-", given=text
        )


def _with_kept(inputs: Properties) -> dict[str, Any]:
    """The object, with those fields as they are there that others change once it is made."""
    thing = integral(inputs["object"])
    if not inputs["kept"]:
        return thing
    found = _kubectl(inputs, "get", "--ignore-not-found", "-o", "json", *_named(thing))
    there = json.loads(found) if found.strip() else thing
    for path in inputs["kept"]:
        outer, _, last = path.rpartition(".")
        _part(thing, outer)[last] = _part(there, outer)[last]
    return thing


def _without(thing: Any, paths: list[str]) -> dict[str, Any]:
    """A copy of an object without some of its fields."""
    copied = json.loads(json.dumps(integral(thing)))
    for path in paths:
        outer, _, last = path.rpartition(".")
        _part(copied, outer).pop(last, None)
    return copied


def _part(thing: dict[str, Any], path: str) -> dict[str, Any]:
    for key in path.split("."):
        thing = thing[key]
    return thing


def _address(thing: dict[str, Any]) -> tuple[str, str, str]:
    return thing["kind"], str(thing["metadata"].get("namespace") or ""), thing["metadata"]["name"]


def _named(thing: dict[str, Any]) -> list[str]:
    kind, namespace, name = _address(thing)
    group = thing["apiVersion"].rpartition("/")[0]
    return [*(["-n", namespace] if namespace else []), f"{kind}.{group}" if group else kind, name]


def _kubectl(inputs: Properties, *words: str, given: str | None = None) -> str:
    context = ["--context", inputs["context"]] if inputs.get("context") else []
    try:
        done = subprocess.run(
            ["kubectl", *context, *words], input=given, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise TrainstackError(f"kubectl cannot be run: {exc}") from exc
    if done.returncode:
        raise TrainstackError(f"kubectl {words[0]}: {' '.join(done.stderr.split())[:600]}")
    return done.stdout
