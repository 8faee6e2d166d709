"""From a run's inputs to what is submitted, and from its record to what its resource says of it."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path
from typing import Any

from trainstack.core.images.environment_lock import lock_environment
from trainstack.core.images.registry import PASSWORD
from trainstack.core.runs.declared import spec_of
from trainstack.core.runs.directory import RunDirectory, RunRecord, RunRequest
from trainstack.core.runs.execution import submission
from trainstack.core.runs.fingerprint import RunEnvironment
from trainstack.core.runs.record import Persistence
from trainstack.core.workspace.project import portable, project_root
from trainstack.provider import images
from trainstack.provider.base import Properties, finite, integral, validated
from trainstack.provider.environment import environment_of


def request(inputs: Properties, source: Path) -> RunRequest:
    """What is submitted for a run's inputs."""
    spec = images.on_base(inputs, environment_of(inputs["environment_spec"]))
    place = images.compute_of(inputs)
    registry = images.registry_of(inputs)
    lock = lock_environment(
        spec, target=str(place.get("target") or "local"), docker_host=place.get("docker_host"), registry=registry
    )
    return RunRequest(
        name=inputs["name"],
        spec=spec_of(
            integral(inputs),
            RunEnvironment(
                digest=lock.digest, python=lock.python, packages=lock.packages, variables=dict(spec.variables)
            ),
        ),
        environment={"spec": spec.model_dump(mode="json"), "lock": lock.model_dump(mode="json")},
        datasets=integral(inputs["datasets"]),
        registry=registry.open if registry else None,
        compute=integral({name: value for name, value in inputs["compute"].items() if value is not None}),
        timeout=inputs.get("timeout"),
        grace=float(inputs["grace"]),
        **_persistence(inputs),
        tags=_tags(inputs.get("urn", ""), source),
    )


def outputs(inputs: Properties, run: RunDirectory, record: RunRecord, outcome: submission.Outcome) -> Properties:
    """What a run's resource says of it; `directory` is relative to the project, so that a checkout can move."""
    request = run.request()
    return {
        **inputs,
        "run_id": run.id,
        "fingerprint": request.spec.fingerprint,
        "status": record.status.value,
        "outcome": outcome.value,
        "attempt": record.attempt,
        "stages": [
            {"name": stage.name.value, "seconds": round(stage.seconds, 3), "reason": stage.reason}
            for stage in record.stages
        ],
        "duration": round(record.duration or 0.0, 3),
        "metrics": finite(record.metrics),
        "directory": portable(run.root, project_root()),
        "output_files": record.outputs if len(record.outputs) <= 1000 else {},
        "drift": [],
    }


def secrets_of(inputs: Properties) -> dict[str, str]:
    """The secret variables' values, and the registry's password where there is one."""
    variables: dict[str, Any] = inputs.get("secret_variables") or {}
    found = {name: str(value) for name, value in variables.items()}
    if images.needs_image(inputs) and (password := inputs.get("registry_password")):
        found[PASSWORD] = str(password)
    return found


def _persistence(inputs: Properties) -> Properties:
    given = validated(Persistence, inputs, "run")
    return given.model_dump() if given else {}


def _tags(urn: str, source: Path) -> dict[str, str]:
    """Who submits, from which stack and commit: for the history, no part of the fingerprint."""
    tags = {"user": getpass.getuser()}
    words = urn.split(":")
    if len(words) > 4:
        tags |= {"stack": words[2], "project": words[4]}
    if git := shutil.which("git"):
        found = subprocess.run(
            [git, "-C", str(source), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
        if found.returncode == 0:
            tags["commit"] = found.stdout.strip()
    return tags
