"""Training runs: the diff that explains, and create as get, attach or resume."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, UpdateResult
from pulumi.runtime.rpc import UNKNOWN

from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.lifecycle import arguments, artifacts, compute, distribution, environment, plan, snapshot, submission
from trainstack.lifecycle.fingerprint import RunEnvironment, RunSpec
from trainstack.lifecycle.project import portable, project_root
from trainstack.lifecycle.run import RunDirectory, RunRecord, RunRequest
from trainstack.lifecycle.run_record import Persistence
from trainstack.provider.base import (
    LifecycleProvider,
    Properties,
    absolute,
    finite,
    integral,
    known,
    own,
    row,
    validated,
    workspace_of,
)
from trainstack.provider.environment import declared


class TrainingRunProvider(LifecycleProvider):
    """A training run, named by what it is."""

    def accept(self, news: Properties) -> Properties:
        """Validate, and add what the run is made of: digests of its files, pinned packages, canonical arguments."""
        inputs = dict(news)
        if known(inputs["source_directory"]):
            self._accept_code(inputs)
        if known(inputs.get("arguments")):
            inputs["arguments"] = arguments.canonical(inputs.get("arguments"))
            self._check_datasets(inputs)
        self._check_variables(inputs)
        if known(inputs["environment_spec"]):
            inputs["environment"] = self._environment(inputs["environment_spec"])
        cluster = validated(compute.ComputeSpec, inputs["compute"], "compute")
        if known(inputs["distribution"]):
            inputs["distribution"] = distribution.checked(
                integral(inputs["distribution"]), inputs.get("environment"), cluster
            )
        for name, least in (("timeout", 0.001), ("grace", 0)):
            value = inputs.get(name)
            if value is not None and known(value) and not (isinstance(value, int | float) and value >= least):
                raise InvalidInputError(f"{name} must be a number of seconds, at least {least:g}, not {value!r}")
        validated(Persistence, inputs, "run")
        return inputs

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Replace when what the run computes changes, and say why in one line; anything else changes in place."""
        found = plan.changes(plan.parts(olds, UNKNOWN), plan.parts(news, UNKNOWN))
        if found:
            row(news).info(plan.sentence(found, olds.get("duration")))
            return DiffResult(changes=None, replaces=list(found))
        if drift := olds.get("drift"):
            row(news).info(f"drifted: {'; '.join(drift)}")
            return DiffResult(changes=True)
        # Where it runs may differ: paths, compute, limits. The engine shows what does; nothing trains.
        settings = ("name", "compute", "timeout", "grace", *Persistence.model_fields)
        moved = [name for name in settings if _plain(olds, name) != _plain(news, name)]
        return DiffResult(changes=bool(moved))

    def create(self, props: Properties) -> CreateResult:
        """Adopt the finished run, attach to the running one, resume the broken one, or start a new one."""
        inputs = own(props)
        workspace = workspace_of(inputs)
        source = absolute(inputs["source_directory"])
        shown = row(inputs)
        submitted = submission.submit(workspace, self._request(inputs, source), source, secrets_of(inputs))
        run = submitted.directory
        if submitted.note:
            shown.warn(submitted.note)
        if submitted.outcome is not submission.Outcome.ADOPTED:
            shown.progress(f"{submitted.outcome.value} run {run.id}: code {inputs['snapshot']}")
        record = submission.follow(run, shown.progress)
        if submitted.outcome is submission.Outcome.ADOPTED:
            shown.info(f"adopted finished run {run.id}: nothing trains")
        else:
            again = f" in attempt {record.attempt}, resumed {record.resumed}" if record.resumed else ""
            took = plan.seconds(record.duration or 0)
            shown.info(f"run {run.id} completed in {took}{again}; code: {inputs['snapshot']}")
        return CreateResult(run.id, outputs(inputs, run, record, submitted.outcome))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Keep the new settings of a run that stays what it is, and put back outputs that are gone."""
        inputs = own(_news)
        workspace = workspace_of(inputs)
        run = RunDirectory(workspace.run(_id))
        record = run.read()
        if lost := artifacts.restore(run, record, workspace.blobs):
            row(inputs).warn(f"{', '.join(lost)} cannot be put back: change `trigger` to train the run again")
        return UpdateResult(outputs(inputs, run, record, submission.Outcome.ADOPTED))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Find out whether the run is still there, complete."""
        try:
            run = RunDirectory(workspace_of(props).run(id_))
            record = run.read()
        except NotFoundError:
            return ReadResult("", {})
        drift = [f"outputs/{name} is gone" for name in record.outputs if not (run.outputs / name).is_file()]
        return ReadResult(id_, {**own(props), "status": record.status.value, "drift": drift})

    def _accept_code(self, inputs: Properties) -> None:
        source = absolute(inputs["source_directory"])
        limit = inputs.get("source_limit_bytes")
        taken = snapshot.take(source, limit_bytes=int(limit) if limit else snapshot.DEFAULT_LIMIT_BYTES)
        script = inputs["script"]
        if known(script) and script not in taken.files:
            there = [name for name in taken.files if name.endswith(".py")]
            raise InvalidInputError(
                f"script {script!r} is not in {inputs['source_directory']!r}: it holds "
                f"{', '.join(there[:5]) or 'no Python file'}{' …' if len(there) > 5 else ''}"
            )
        inputs["files"] = taken.files
        inputs["snapshot"] = str(taken)

    def _check_datasets(self, inputs: Properties) -> None:
        text = repr(inputs["arguments"])
        for name in arguments.DATASET.findall(text):
            if name not in inputs["datasets"]:
                raise InvalidInputError(f"argument refers to dataset {name!r}, which the run is not given")

    def _check_variables(self, inputs: Properties) -> None:
        for group in ("environment_variables", "secret_variables"):
            variables: dict[str, Any] = inputs.get(group) or {}
            if not known(variables):
                continue
            for name, value in variables.items():
                if not name or "=" in name or "\0" in name:
                    raise InvalidInputError(f"environment variable name {name!r} cannot be: it holds '=' or is empty")
                if group == "secret_variables" and not isinstance(value, str):
                    raise InvalidInputError(f"secret variable {name} must be text")
            if group == "environment_variables":
                inputs[group] = {name: arguments.scalar(value, name) for name, value in sorted(variables.items())}

    def _environment(self, described: Properties) -> Properties:
        spec = declared(described)
        try:
            lock = environment.lock(spec, retries=0)
        except environment.IndexUnreachableError:
            return {"digest": UNKNOWN, "python": spec.python, "packages": UNKNOWN, "variables": spec.variables}
        return {
            "digest": lock.digest,
            "python": lock.python,
            "packages": lock.packages,
            "variables": dict(spec.variables),
        }

    def _request(self, inputs: Properties, source: Path) -> RunRequest:
        spec = declared(inputs["environment_spec"])
        lock = environment.lock(spec)
        return RunRequest(
            name=inputs["name"],
            spec=RunSpec(
                script=inputs["script"],
                files=inputs["files"],
                arguments=inputs["arguments"],
                datasets={name: reference["digest"] for name, reference in inputs["datasets"].items()},
                environment=RunEnvironment(
                    digest=lock.digest, python=lock.python, packages=lock.packages, variables=dict(spec.variables)
                ),
                environment_variables=inputs.get("environment_variables") or {},
                secret_names=tuple(sorted(inputs.get("secret_variables") or {})),
                distribution=integral(inputs["distribution"]),
                trigger=inputs.get("trigger") or "",
            ),
            environment={"spec": spec.model_dump(mode="json"), "lock": lock.model_dump(mode="json")},
            datasets=integral(inputs["datasets"]),
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


def _persistence(inputs: Properties) -> Properties:
    given = validated(Persistence, inputs, "run")
    return given.model_dump() if given else {}


def secrets_of(inputs: Properties) -> dict[str, str]:
    """The secret variables' values."""
    variables: dict[str, Any] = inputs.get("secret_variables") or {}
    return {name: str(value) for name, value in variables.items()}


def _plain(properties: Properties, name: str) -> Any:
    return integral(properties.get(name))


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
