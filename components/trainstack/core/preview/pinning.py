"""What a stack's environments, data and tools come to now, from a preview that shows all its resources."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from trainstack.core.environments import environment, uv_command
from trainstack.core.environments.pins import EnvironmentPin, Pins
from trainstack.core.preview.base_images import find_base_images
from trainstack.core.preview.document import UNKNOWN, Preview, Resource
from trainstack.core.workspace.project import pulumi_program
from trainstack.errors import InvalidInputError, TrainstackError

_DRIFTED = "changed at its source"


@dataclass(frozen=True)
class CurrentPins:
    """Pins as they would be written now.

    Attributes:
        pins: What is known.
        unknown: What is not known before an update, in words.
    """

    pins: Pins
    unknown: list[str]


def find_pins(preview: Preview, root: Path) -> CurrentPins:
    """Find out what a stack's pins are.

    Args:
        preview: `pulumi preview --json --show-sames`.
        root: The project's folder.

    Raises:
        TrainstackError: The preview failed, an environment cannot be locked, or a Docker engine does not answer.
    """
    if preview.errors:
        raise TrainstackError(f"the preview failed: {preview.errors[0]}")
    resources = [step.new for step in preview.steps if step.new is not None and step.operation != "delete"]
    if not resources:
        raise InvalidInputError("the preview shows no resource: make it with `pulumi preview --json --show-sames`")
    unknown: list[str] = []
    environments = {
        resource.name: _environment(resource.inputs, root)
        for resource in resources
        if resource.kind == "Environment" and UNKNOWN not in repr(resource.inputs.get("spec"))
    }
    datasets: dict[str, str] = {}
    for resource in resources:
        if resource.kind != "Dataset":
            continue
        digest = _dataset_digest(resource, preview)
        if digest is None or digest == _DRIFTED:
            unknown.append(f"dataset {resource.name} is not known before it is fetched: run `pulumi up` first")
        if digest is not None:
            datasets[resource.name] = digest
    pins = Pins(
        versions=_versions(),
        environments=environments,
        base_images=find_base_images(resources, root),
        datasets=datasets,
    )
    return CurrentPins(pins, unknown)


def _environment(inputs: Mapping[str, Any], root: Path) -> EnvironmentPin:
    properties = {name: value for name, value in inputs["spec"].items() if name != "pins"}
    spec = environment.spec_from_inputs(properties, root)
    digest = str(inputs.get("digest") or UNKNOWN)
    if digest == UNKNOWN:
        raise TrainstackError(f"environment {spec.name} could not be locked in the preview: see what it says")
    packages = cast("dict[str, str]", inputs.get("packages") or {})
    text = ""
    if spec.curated is None and not spec.only_image and spec.lock is None:
        text = environment.lock(environment.spec_from_inputs(inputs["spec"], root), here=False).text
    return EnvironmentPin(spec_digest=spec.digest, digest=digest, packages=packages, lock=text)


def _dataset_digest(dataset: Resource, preview: Preview) -> str | None:
    step = next(step for step in preview.steps if step.resource.urn == dataset.urn)
    if "digest" in dataset.inputs:
        # Local files are digested in preview, objects listed; one that is adopted is looked up there too.
        return _digest_text(dataset.inputs["digest"])
    before = step.old.known if step.old is not None else {}
    if before.get("drift"):
        return _DRIFTED
    return _digest_text(before.get("digest")) if step.operation == "same" else None


def _digest_text(digest: object) -> str | None:
    return str(digest) if digest and digest != UNKNOWN else None


def _versions() -> dict[str, str]:
    return {
        "trainstack": metadata.version("trainstack"),
        "pulumi": _version_of([pulumi_program() or "pulumi", "version"]),
        "uv": _version_of([uv_command.uv(), "--version"]),
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def _version_of(command: list[str]) -> str:
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise TrainstackError(f"`{' '.join(command)}` does not say its version: {exc}") from exc
    match = re.search(r"\d+\.\d+\.\d+", process.stdout)
    return match[0] if match else process.stdout.strip()
