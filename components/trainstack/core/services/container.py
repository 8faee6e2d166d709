"""Web services on a Docker engine: the same server as on this machine in a container, or TensorFlow Serving's own."""

from __future__ import annotations

import contextlib
import json
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from trainstack.core.images.image import Image
from trainstack.core.models.model import ModelRecord
from trainstack.core.services import process as service_process
from trainstack.core.services import server_code
from trainstack.core.services.port import free_port
from trainstack.core.services.record import (
    ServiceRecord,
    ServiceSpec,
    ServiceStatus,
    append_log,
    new_record,
    read_record,
    reported_runtime,
    write_record,
)
from trainstack.core.services.serving_plan import served_models, service_plan
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine import engine_api
from trainstack.docker_engine.engine_api import DockerClient
from trainstack.errors import TrainstackError
from trainstack.server.serving_plan import Plan
from trainstack.storage import digest as digests
from trainstack.storage import locks
from trainstack.targets.docker import service as containers
from trainstack.targets.docker.service import FOLDER, PORT, Server

# Python's and TensorFlow's own need, for more than one process, whatever the model.
LEAST_MEMORY_GIB = 2.0
"""Memory of a server at least, in GiB, whatever its model."""
_HEALTH = (
    "import json, sys, urllib.request as r; "
    f"health = json.load(r.urlopen('http://127.0.0.1:{PORT}/healthz', timeout=5)); "
    "print(json.dumps(health)); sys.exit(health['digest'] != '{digest}')"
)
_TF_SERVING_HEALTH = (
    "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET /v1/models/{name} HTTP/1.0\\r\\n\\r\\n' >&3; grep -q AVAILABLE <&3"
)


def start(
    workspace: Workspace,
    spec: ServiceSpec,
    model: ModelRecord,
    image: Image,
    client: DockerClient,
    progress: Callable[[str], None],
) -> ServiceRecord:
    """Make a service serve a model from a container, and return when it does.

    What serves it already is left alone. Else a new server comes up beside the old one; when it is healthy, the old one
    finishes its requests and the new one gets the port. When it does not come up, the old one stays.

    Args:
        workspace: The workspace.
        spec: How the service is asked for.
        model: The registered version to serve.
        image: A serving environment, or TensorFlow Serving.
        client: The engine.
        progress: Is told what happens, in a few words.

    Returns:
        The service's record, with its scoring address on the engine's machine.

    Raises:
        InvalidInputError: The port is taken.
        TrainstackError: The server did not come up; its last lines and its log's path are in the message.
    """
    folder = workspace.service(spec.name)
    with (
        locks.shared(workspace.records_lock, lambda: progress("waiting for a removal from the workspace")),
        locks.exclusive(folder / "lock", lambda: progress("waiting for another change of this service")),
        contextlib.ExitStack() as reserved,
    ):
        old = read_record(workspace, spec.name)
        with locks.exclusive(workspace.root / "services" / ".ports.lock"):
            port = spec.port or (old.port if old is not None else free_port(workspace, spec, reserved))
            server = describe_server(workspace, spec, model, image, port)
            location_fields = {
                "target": spec.target,
                "docker_host": spec.docker_host,
                "image": image.reference,
                "shares": _plan(spec, model, served_models(workspace, spec, model)).shares,
            }
            record = new_record(workspace, spec, model, image.python, port).model_copy(update=location_fields)
            if old is None:
                write_record(record)
        existing = containers.containers(client, workspace.id, spec.name)
        matching = [container for container in existing if container.name == server.title]
        previous = [container for container in existing if container.name != server.title]
        if matching and containers.serving(matching[0]) and containers.healthy(matching[0]) is not None:
            container = matching[0]
        else:
            container = _start_server(client, server, spec, record, matching, previous, progress)
        containers.remove(client, previous, workspace.id, spec.name, keep=server.configuration)
        # One that was served by a process of this machine is now served from there.
        service_process.terminate(service_process.living(folder), drain=spec.drain_timeout)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        started = old.started if old is not None and old.container == container.id else now
        update = {
            "status": "running",
            "container": container.id,
            "started": started,
            **_runtime(spec, model, container),
        }
        record = record.model_copy(update=update)
        write_record(record)
        progress(f"serving at {record.scoring_uri}")
        return record


def status(workspace: Workspace, record: ServiceRecord) -> ServiceStatus:
    """Ask a service on an engine how it does; one whose engine does not answer is down."""
    try:
        with engine_api.connected(record.docker_host, timeout=20) as client:
            existing = [
                container
                for container in containers.containers(client, workspace.id, record.name)
                if containers.serving(container)
            ]  # fmt: skip
            if not existing:
                return ServiceStatus(state="down", detail=f"service {record.name} has no container that runs")
            digest = str(existing[0].labels.get(containers.MODEL, ""))
            answers = containers.healthy(existing[0]) is not None
    except TrainstackError as exc:
        return ServiceStatus(state="down", detail=f"service {record.name}: {exc}")
    if digest != record.model_digest:
        detail = f"service {record.name} serves {digest[:12]}, not {record.model_digest[:12]}"
        return ServiceStatus(state="other", digest=digest, detail=detail)
    if not answers:
        return ServiceStatus(state="starting", detail=f"service {record.name} does not answer in its container")
    served = f"{record.model_name} version {record.model_version} at {record.scoring_uri}"
    return ServiceStatus(state="healthy", digest=digest, detail=f"service {record.name} serves {served}")


def stop(workspace: Workspace, record: ServiceRecord, drain: int) -> None:
    """End a service's containers and remove them with all that they had on the engine; their log stays here.

    Raises:
        TrainstackError: The engine does not answer.
    """
    with engine_api.connected(record.docker_host) as client, locks.exclusive(Path(record.folder) / "lock"):
        existing = containers.containers(client, workspace.id, record.name)
        containers.stop(existing, drain)
        for container in existing:
            append_log(record, containers.log_of(container))
        containers.remove(client, existing, workspace.id, record.name)
        write_record(record.model_copy(update={"status": "stopped", "container": None}))


def _start_server(
    client: DockerClient,
    server: Server,
    spec: ServiceSpec,
    record: ServiceRecord,
    matching: list[DockerClient],
    previous: list[DockerClient],
    progress: Callable[[str], None],
) -> DockerClient:
    """Start a server, and let it follow the previous one once it is healthy."""
    containers.remove(client, matching, server.workspace, spec.name, keep=_configuration_of(previous))
    progress(f"starting a container for {record.model_name} version {record.model_version} on port {server.port}")
    container = containers.prepare(client, server)
    try:
        containers.await_healthy(container, spec.start_timeout, progress)
        if previous:
            progress("ending the old server")
        containers.take_over(client, server, container, previous, spec.drain_timeout)
    except TrainstackError as exc:
        lines = containers.log_of(container, 20).decode(errors="replace").splitlines()
        append_log(record, containers.log_of(container))
        containers.remove(client, [container], server.workspace, spec.name, keep=_configuration_of(previous))
        if not previous:
            write_record(record.model_copy(update={"status": "failed"}))
        shown = "".join(f"\n  {line}" for line in lines)
        raise type(exc)(f"service {spec.name}: {exc}; its log is {record.log}{shown}") from exc
    for container_before in previous:
        append_log(record, containers.log_of(container_before))
    return container


def _runtime(spec: ServiceSpec, model: ModelRecord, container: DockerClient) -> dict[str, str]:
    if spec.server == "tensorflow-serving":
        return {"runtime": "tensorflow", "runtime_reason": "TensorFlow Serving has no other"}
    health = containers.healthy(container)
    return reported_runtime(json.loads(health), model) if health else {}


def _configuration_of(previous: list[DockerClient]) -> str:
    return str(previous[0].labels.get(containers.CONFIGURATION, "")) if previous else ""


def describe_server(workspace: Workspace, spec: ServiceSpec, model: ModelRecord, image: Image, port: int) -> Server:
    """Describe a service's container.

    Args:
        workspace: The workspace, which has the other versions that get traffic, copies or a label.
        spec: How the service is asked for.
        model: The registered version to serve.
        image: A serving environment, or TensorFlow Serving.
        port: The port on the engine's machine.

    Raises:
        NotFoundError: One of those versions is not registered.
    """
    resources = model.resource_configuration
    models = served_models(workspace, spec, model)
    plan = _plan(spec, model, models)
    if spec.server == "tensorflow-serving":
        command = _tf_serving_command(model)
        health = ("bash", "-c", _TF_SERVING_HEALTH.format(port=PORT, name=model.name))
    else:
        command = _trainstack_command(spec, model, image)
        health = (image.python, "-c", _HEALTH.replace("{digest}", plan.main.digest))
    # Another version of our server is another server.
    code = None if spec.server == "tensorflow-serving" else server_code.code_digest()
    configuration = [
        image.reference,
        command,
        port,
        plan.to_json(),
        resources.model_dump() if resources else None,
        code,
    ]
    return Server(
        workspace=workspace.id,
        name=spec.name,
        configuration=digests.of_json(configuration),
        model=model.digest,
        image=image.reference,
        command=command,
        health=health,
        port=port,
        content=lambda: _pack_content(spec, plan, models),
        cpus=resources.cpu if resources else None,
        memory=max(resources.memory_in_gb, LEAST_MEMORY_GIB) * 2**30 if resources else None,
        environment={"TF_CPP_MIN_LOG_LEVEL": "2"},
    )


def _plan(spec: ServiceSpec, model: ModelRecord, models: Sequence[ModelRecord]) -> Plan:
    """What the server is told to serve, with paths as they are in its container."""
    plan = service_plan(spec, model, models, Path(FOLDER))
    return replace(
        plan,
        versions=tuple(replace(version, path=_model_folder(model.name, version.version)) for version in plan.versions),
    )


def _trainstack_command(spec: ServiceSpec, model: ModelRecord, image: Image) -> tuple[str, ...]:
    return (
        image.python, f"{FOLDER}/serving", "--plan", f"{FOLDER}/plan.json", "--host", "0.0.0.0",  # noqa: S104
        "--port", str(PORT), "--workers", str(service_process.workers(spec, model)),
        # The engine gives the port to its own machine alone, so a key is for whoever asks for one.
        "--drain", str(spec.drain_timeout), "--open-to-all",
    )  # fmt: skip


def _tf_serving_command(model: ModelRecord) -> tuple[str, ...]:
    return (
        "tensorflow_model_server", f"--rest_api_port={PORT}", "--port=0", f"--model_name={model.name}",
        f"--model_base_path={FOLDER}/models/{model.name}",
    )  # fmt: skip


def _model_folder(name: str, version: int) -> str:
    """Where a version's files are in the container: TensorFlow Serving looks for them there."""
    return f"{FOLDER}/models/{name}/{version}"


def _pack_content(spec: ServiceSpec, plan: Plan, models: Sequence[ModelRecord]) -> IO[bytes]:
    archive = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)

    def without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        # One that tells no time makes the same layer of the same files.
        member.mtime = 0
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(fileobj=archive, mode="w") as tar:
        if spec.server == "trainstack":
            for path in server_code.files():
                tar.add(path, f"serving/{path.relative_to(server_code.FOLDER)}", filter=without_owner)
            with tempfile.NamedTemporaryFile() as written:
                written.write(json.dumps(plan.to_json()).encode())
                written.flush()
                tar.add(written.name, "plan.json", filter=without_owner)
        # Last: Docker takes what begins with a name too long for a plain header for no archive.
        for model in models:
            for name in model.files:
                path = f"{_model_folder(model.name, model.version)}/{name}"
                tar.add(Path(model.path) / name, path.removeprefix(f"{FOLDER}/"), filter=without_owner)
    archive.seek(0)
    return archive
