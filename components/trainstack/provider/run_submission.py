"""From a run's inputs to what is submitted, and from its record to what its resource says of it."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path
from typing import Any

from trainstack.core.images.environment_lock import lock_environment
from trainstack.core.images.registry import PASSWORD
from trainstack.core.runs.directory import RunDirectory, RunRecord
from trainstack.core.runs.execution import submission
from trainstack.core.runs.fields import RunEnvironment, RunSettings, RunSpec
from trainstack.core.runs.request import DatasetReference, LockedEnvironment, RegistryLogin, RunRequest
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.store_cache import stored_path
from trainstack.errors import InvalidInputError
from trainstack.provider import images
from trainstack.provider.base import Properties, finite, integral, parsed, validated
from trainstack.provider.compute_inputs import capabilities_of, compute_spec
from trainstack.provider.environment import environment_of


def request(inputs: Properties, source: Path) -> RunRequest:
    """What is submitted for a run's inputs."""
    spec = images.on_base(inputs, environment_of(inputs["environment_spec"]))
    place = images.compute_of(inputs)
    registry = images.registry_of(inputs)
    lock = lock_environment(
        spec, in_image=capabilities_of(place).uses_images, docker_host=place.get("docker_host"), registry=registry
    )
    compute = compute_spec(inputs["compute"])
    datasets: Properties = inputs["datasets"]
    settings = validated(RunSettings, inputs, "run")
    if compute is None or settings is None:
        raise InvalidInputError(f"run {inputs['name']}: an input is not known")
    return RunRequest(
        name=inputs["name"],
        spec=RunSpec.from_inputs(
            integral(inputs),
            RunEnvironment(
                digest=lock.digest, python=lock.python, packages=lock.packages, variables=dict(spec.variables)
            ),
        ),
        environment=LockedEnvironment(spec=spec, lock=lock),
        datasets={name: parsed(DatasetReference, value, f"dataset {name}") for name, value in datasets.items()},
        registry=RegistryLogin(**registry.open) if registry else None,
        compute=compute,
        **settings.model_dump(),
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
        "directory": stored_path(run.root, project_root()),
        "output_files": record.outputs if len(record.outputs) <= 1000 else {},
        "drift": [],
    }


def secrets_of(inputs: Properties) -> dict[str, str]:
    """The secret variables' values, and the registry's password where there is one."""
    variables: dict[str, Any] = inputs.get("secret_variables") or {}
    secrets = {name: str(value) for name, value in variables.items()}
    if images.needs_image(inputs) and (password := inputs.get("registry_password")):
        secrets[PASSWORD] = str(password)
    return secrets


def _tags(urn: str, source: Path) -> dict[str, str]:
    """Who submits, from which stack and commit: for the history, no part of the fingerprint."""
    tags = {"user": getpass.getuser()}
    words = urn.split(":")
    if len(words) > 4:
        tags |= {"stack": words[2], "project": words[4]}
    if git := shutil.which("git"):
        process = subprocess.run(
            [git, "-C", str(source), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
        if process.returncode == 0:
            tags["commit"] = process.stdout.strip()
    return tags
