"""Web services on this machine: a registered SavedModel, served by a process that outlives `pulumi up`.

`start` is also how a service gets a new model, a new port or a new interpreter: it makes what runs be what is asked
for, and does nothing where it already is. `docs/serving.md` tells the whole.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainstack.abbreviation import abbreviated
from trainstack.core.models.keras_file import export_advice
from trainstack.core.models.model import ModelRecord, find_drift
from trainstack.core.services import process
from trainstack.core.services.certificate import check_certificate
from trainstack.core.services.port import chosen_port, validate_port
from trainstack.core.services.record import (
    ServiceRecord,
    ServiceSpec,
    ServiceStatus,
    list_services,
    new_record,
    read_record,
    reported_runtime,
    write_record,
)
from trainstack.core.services.runner import runner_of
from trainstack.core.services.serving_plan import served_models, service_plan
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import write_bytes, write_json

__all__ = [
    "ServiceRecord",
    "ServiceSpec",
    "ServiceStatus",
    "check_servable",
    "environment_of",
    "find",
    "list_services",
    "served_models",
    "serving_environment",
    "start",
    "status",
    "stop",
    "tensorflow_serving_image",
    "validate_port",
]

Progress = Callable[[str], None]

# TensorFlow reads SavedModels of older versions, not of newer ones.
_ENVIRONMENTS = {(2, 15): "trainstack-serving-2.15", (2, 21): "trainstack-serving-2.21"}
_SAVED_MODEL = "saved_model.pb"


def _silent(_: str) -> None:
    return


def serving_environment(framework_version: str | None) -> str:
    """Name the curated environment that serves a model.

    Args:
        framework_version: The TensorFlow version that it was saved with, such as `2.15.1`; None when unknown.

    Returns:
        The oldest serving environment that is not older than the model; for an unknown version, the newest.

    Raises:
        InvalidInputError: The version is not one, or newer than all serving environments.
    """
    if framework_version is None:
        return max(_ENVIRONMENTS.items())[1]
    match = re.match(r"(\d+)\.(\d+)(?:[.\D]|$)", framework_version)
    if match is None:
        raise InvalidInputError(
            f"framework version {framework_version!r} is not a TensorFlow version: write it like 2.15.1",
            field="framework_version",
        )
    release = (int(match[1]), int(match[2]))
    fitting = [name for version, name in sorted(_ENVIRONMENTS.items()) if version >= release]
    if not fitting:
        newest = ".".join(map(str, max(_ENVIRONMENTS)))
        raise InvalidInputError(
            f"no serving environment reads a model of TensorFlow {framework_version}: the newest is for {newest}",
            field="framework_version",
        )
    return fitting[0]


def tensorflow_serving_image(framework_version: str | None) -> str:
    """Name TensorFlow Serving's image for a model: the release that goes by the same version."""
    match = re.match(r"\d+\.\d+\.\d+$", framework_version or "")
    return f"tensorflow/serving:{match[0]}" if match else "tensorflow/serving:latest"


def environment_of(models: list[ModelRecord]) -> str:
    """Name the curated environment that serves several versions of a model: the newest that one of them takes."""
    order = {name: version for version, name in _ENVIRONMENTS.items()}
    return max((serving_environment(model.framework_version) for model in models), key=order.__getitem__)


def start(
    workspace: Workspace, spec: ServiceSpec, model: ModelRecord, python: Path, progress: Progress = _silent
) -> ServiceRecord:
    """Make a service serve what is asked for, and return when it does.

    A server that runs is told what to serve from now on: it loads that beside what it serves, and switches. A new one
    is started where there is none, or where the one there is cannot become what is asked for (another interpreter,
    port or certificate); it takes over the old one's socket, which then drains. When what is asked for does not come
    up, the service goes on as it was.

    Args:
        workspace: The workspace.
        spec: How the service is asked for.
        model: The registered version to serve.
        python: The interpreter of a serving environment.
        progress: Is told what happens, in a few words.

    Returns:
        The service's record, with its scoring address.

    Raises:
        InvalidInputError: The port is taken, the model is none that can be served, or the certificate is none.
        TrainstackError: It did not come up; its last lines and its log's path are in the message.
    """
    checked_name(spec.name, "service")
    if not spec.is_local and not spec.key_digests:
        raise InvalidInputError(f"service {spec.name}: host {spec.host} is not this machine alone, so it takes a key")
    check_certificate(spec)
    models = served_models(workspace, spec, model)
    for model_version in models:
        check_servable(workspace, model_version)
    folder = workspace.service(spec.name)
    python = python.absolute()
    with (
        # Until its record names the model, so that `trainstack purge` never takes the model away in between.
        locks.shared(workspace.records_lock, lambda: progress("waiting for a removal from the workspace")),
        locks.exclusive(
            folder / "lock", lambda: progress("waiting for another change of this service")
        ) as lock_descriptor,
        contextlib.ExitStack() as reserved,
    ):
        process.sweep(folder)
        old = read_record(workspace, spec.name)
        servers = process.living(folder)
        # One service at a time chooses a port and notes it.
        with locks.exclusive(workspace.root / "services" / ".ports.lock"):
            port = chosen_port(workspace, spec, old, servers, progress, reserved)
            plan = service_plan(spec, model, models, folder)
            record = new_record(workspace, spec, model, str(python), port).model_copy(update={"shares": plan.shares})
            if not servers:
                write_record(record)
        fixed_arguments = process.arguments(spec, model)
        identity = (spec.host, port, str(python), fixed_arguments)
        matching = [
            instance
            for instance in servers
            if (instance.host, instance.port, instance.python, instance.arguments) == identity
        ]
        begun = record.log.stat().st_size if record.log.exists() else 0
        before = matching[-1].plan.read_bytes() if matching else b""
        try:
            if matching:
                server = matching[-1]
                write_json(server.plan, plan.to_json())
            else:
                same = [
                    instance
                    for instance in servers
                    if instance.hands_over and (instance.host, instance.port) == (spec.host, port)
                ]
                # One that holds the port and cannot hand it over (it loads, or has another address) must go first.
                process.terminate(
                    [instance for instance in servers if instance.port == port and instance not in same], drain=1
                )
                progress(f"starting a server for {model.name} version {model.version} on port {port}")
                server = process.launch(
                    folder,
                    plan,
                    python,
                    spec=spec,
                    port=port,
                    fixed_arguments=fixed_arguments,
                    before=same[-1] if same else None,
                    lock_descriptor=lock_descriptor,
                )
            health = _await_serving(server, spec, progress)
        except TrainstackError as exc:
            # What was there before stays.
            if matching and matching[-1].alive:
                write_bytes(matching[-1].plan, before)
            failed = [instance for instance in process.living(folder) if instance not in servers]
            process.terminate(failed, drain=1)
            if not process.living(folder):
                write_record(record.model_copy(update={"status": "failed"}))
            lines = process.tail(record.log, begun)
            shown = "".join(f"\n  {line}" for line in lines)
            raise TrainstackError(f"service {spec.name}: {exc}; its log is {record.log}{shown}") from exc
        now = datetime.now(UTC).isoformat(timespec="seconds")
        unchanged = old is not None and old.pid == server.pid and old.status == "running"
        update = {
            "status": "running",
            "pid": server.pid,
            "started": old.started if old is not None and unchanged else now,
            **reported_runtime(health, model),
        }
        record = record.model_copy(update=update)
        write_record(record)
        others = [instance for instance in process.living(folder) if instance.pid != server.pid]
        if others:
            progress("ending the old server")
            # One whose socket was taken over ends by itself, once its clients have come over.
            process.await_end([instance for instance in others if instance.port == port], spec.drain_timeout)
            process.terminate(others, drain=spec.drain_timeout)
        progress(f"serving at {record.scoring_uri}")
        return record


def find(workspace: Workspace, name: str) -> ServiceRecord:
    """Find a service's record.

    Raises:
        NotFoundError: There never was a service of that name.
    """
    record = read_record(workspace, name)
    if record is None:
        names = ", ".join(service.name for service in list_services(workspace)) or "none"
        raise NotFoundError(f"no service {name!r} in {workspace.root}: there is {names}")
    return record


def stop(workspace: Workspace, name: str) -> None:
    """End a service's servers: requests in flight may finish. Its record, port and log stay; none running is fine.

    Raises:
        TrainstackError: A server does not go away.
    """
    record = read_record(workspace, name)
    folder = workspace.service(name)
    if not folder.is_dir():
        return
    drain = ServiceSpec(name=name).drain_timeout
    if record is None:
        stop_processes(workspace, name, None, drain)
    else:
        runner_of(record.target).stop(workspace, record, drain)


def stop_processes(workspace: Workspace, name: str, record: ServiceRecord | None, drain: int) -> None:
    """End a service's processes of this machine.

    Raises:
        TrainstackError: One does not end.
    """
    folder = workspace.service(name)
    with locks.exclusive(folder / "lock"):
        process.terminate(process.living(folder), drain=drain)
        process.sweep(folder)
        if record is not None:
            write_record(record.model_copy(update={"status": "stopped", "pid": None}))


def status(workspace: Workspace, name: str) -> ServiceStatus:
    """Ask a service how it does.

    Raises:
        NotFoundError: There never was a service of that name.
    """
    record = find(workspace, name)
    return runner_of(record.target).status(workspace, record)


def leave(workspace: Workspace, spec: ServiceSpec, progress: Progress) -> None:
    """End what a service still has where it was, unless that can stay until it serves where `spec` says.

    Raises:
        TrainstackError: The target does not answer.
    """
    record = read_record(workspace, spec.name)
    if record is not None and runner_of(record.target).must_end(record, spec):
        progress("ending it where it was")
        stop(workspace, spec.name)


def process_status(record: ServiceRecord) -> ServiceStatus:
    """Ask a service's process on this machine how it does."""
    name = record.name
    servers = process.living(Path(record.folder))
    if not servers:
        return ServiceStatus(state="down", detail=f"service {name} is not running; its log is {record.log}")
    health = process.answer(record.host, record.port, tls=record.tls)
    server = next(
        (instance for instance in servers if health is not None and health.get("server") == instance.pid), None
    )
    if health is None or server is None:
        return ServiceStatus(state="starting", detail=f"service {name} does not answer yet on port {record.port}")
    digests = {version["version"]: str(version["digest"]) for version in health["versions"]}
    digest = digests.get(record.model_version, str(health["digest"]))
    if digest != record.model_digest:
        return ServiceStatus(
            state="other",
            digest=digest,
            detail=f"service {name} serves {digest[:12]}, not {record.model_digest[:12]} of "
            f"{record.model_name} version {record.model_version}",
        )
    shares = {str(version["version"]): version["weight"] for version in health["versions"] if version["weight"]}
    if shares != record.shares:
        return ServiceStatus(
            state="other",
            digest=digest,
            detail=f"service {name} splits its traffic {shares}, not {record.shares}",
        )
    return ServiceStatus(
        state="healthy",
        digest=digest,
        detail=f"service {name} serves {record.model_name} version {record.model_version} at {record.scoring_uri}",
    )


def check_servable(workspace: Workspace, model: ModelRecord) -> None:
    """Refuse a model that no server can load.

    Raises:
        InvalidInputError: It is no SavedModel.
        TrainstackError: Its files are not as registered.
    """
    if _SAVED_MODEL not in model.files:
        advice = export_advice(sorted(model.files)) or "register the folder that tf.saved_model.save wrote"
        raise InvalidInputError(
            f"model {model.name} version {model.version} is no SavedModel: a service needs {_SAVED_MODEL} at the "
            f"top of its files, which are {abbreviated(sorted(model.files))}; {advice}",
            field="model",
        )
    changed = abbreviated(find_drift(workspace, model))
    if changed:
        raise TrainstackError(
            f"the files of model {model.name} version {model.version} are not as registered ({changed}): "
            "`pulumi refresh` and `pulumi up` restore them"
        )


def _await_serving(server: process.Instance, spec: ServiceSpec, progress: Progress) -> dict[str, Any]:
    """Wait until every worker of a server serves what it is told to, and give what it then says of itself."""
    begun = time.monotonic()
    reported = 0
    digest = server.plan_digest
    while (waited := time.monotonic() - begun) < spec.start_timeout:
        if not server.alive:
            raise TrainstackError("its server ended before it answered")
        # While two servers share the port, the old one may be asked: then ask again.
        health = process.answer(spec.host, server.port, tls=spec.tls_certificate is not None)
        if health is not None and health.get("server") == server.pid:
            if health["plan"] == digest:
                return health
            if health["error"] is not None and health["error"]["plan"] == digest:
                raise TrainstackError(f"it does not load what it is to serve: {health['error']['message']}")
        if waited - reported >= 1:
            reported = int(waited)
            progress(f"loading the model, {reported} s")
        time.sleep(0.1)
    raise TrainstackError(f"its server did not answer within {spec.start_timeout:g} s")
