"""A web service's containers on an engine: what they are called, how they are confined, how one follows another.

A server and its model lie in a volume of their own, so that an engine elsewhere needs no folder of ours and starts the
server again by itself. A new server comes up in a network without ways out; only when it is healthy is the old one
stopped and the new one joined to the network that gives it the port.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from trainstack.docker_engine.engine_api import DockerClient, engine_errors
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.docker.container_config import USER

WORKSPACE, NAME, CONFIGURATION, MODEL = (
    "trainstack.services", "trainstack.service", "trainstack.service.configuration", "trainstack.service.model",
)  # fmt: skip
FOLDER = "/service"
PORT = 8501
_HEALTH_SECONDS = 10
_ASK_SECONDS = 1.0


@dataclass(frozen=True)
class Server:
    """A server to run in a container.

    Attributes:
        workspace: The workspace's id.
        name: The service.
        configuration: Hex digest over all that it is made of; another one is another server.
        model: The model's digest.
        image: The image, by digest.
        command: Its command line, the program first.
        health: A command in the container that ends with 0 when it serves.
        port: The port on the loopback address of the engine's machine.
        content: Packs what lies below `/service`, a tar archive.
        cpus: CPUs that it may use; None for all.
        memory: Bytes of memory that it may use; None for all.
        environment: Its variables.
    """

    workspace: str
    name: str
    configuration: str
    model: str
    image: str
    command: tuple[str, ...]
    health: tuple[str, ...]
    port: int
    content: Callable[[], IO[bytes]]
    cpus: float | None = None
    memory: float | None = None
    environment: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def title(self) -> str:
        """What its container and volume are called."""
        return f"{_prefix(self.workspace)}-{self.name}-{self.configuration[:12]}"

    @property
    def labels(self) -> dict[str, str]:
        """What tells whose it is and what it serves."""
        return {
            WORKSPACE: self.workspace, NAME: self.name, CONFIGURATION: self.configuration, MODEL: self.model,
        }  # fmt: skip


def containers(client: DockerClient, workspace: str, name: str) -> list[DockerClient]:
    """The containers of a service, newest first, whatever their state."""
    with engine_errors(f"looking for the containers of service {name}"):
        return list(client.containers.list(all=True, filters={"label": [f"{WORKSPACE}={workspace}", f"{NAME}={name}"]}))


def serving(container: DockerClient) -> bool:
    """Whether a container runs and has the service's port."""
    container.reload()
    networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
    return container.status == "running" and any(name.endswith("-open") for name in networks)


def healthy(container: DockerClient) -> str | None:
    """Ask a server in its container how it does.

    Returns:
        What it says where it is healthy, else None.
    """
    with engine_errors("asking a service's container"):
        command = container.attrs["Config"]["Healthcheck"]["Test"][1:]
        if container.status != "running":
            return None
        code, output = container.exec_run(command)
    return bytes(output).decode(errors="replace").strip() if code == 0 else None


def prepare(client: DockerClient, server: Server) -> DockerClient:
    """Start a server without its port, beside whatever serves now.

    Returns:
        Its container.

    Raises:
        TrainstackError: The engine refuses.
    """
    with engine_errors(f"starting service {server.name}"):
        _network(client, server.workspace, inner=True)
        client.volumes.create(server.title, labels=server.labels)
        # A container that never runs, because what is read-only in the server's own cannot be written from outside.
        filler = client.containers.create(
            server.image, ["-"], entrypoint=["-"], labels=server.labels, network_mode="none",
            volumes={server.title: {"bind": FOLDER, "mode": "rw"}},
        )  # fmt: skip
        try:
            with server.content() as packed:
                filler.put_archive(FOLDER, packed)
        finally:
            filler.remove(force=True)
        container = client.containers.create(**_arguments(server))
        container.start()
    return container


def await_healthy(container: DockerClient, seconds: float, progress: Callable[[str], None]) -> None:
    """Wait until a server says that it serves.

    Raises:
        TrainstackError: It ended, or did not say so in time.
    """
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < seconds:
        with engine_errors("asking a service's container"):
            container.reload()
        if container.attrs["RestartCount"] or container.status not in ("running", "created"):
            raise TrainstackError("its server ended before it answered")
        if healthy(container) is not None:
            return
        progress(f"loading the model, {waited:.0f} s")
        time.sleep(_ASK_SECONDS)
    raise TrainstackError(f"its server did not answer within {seconds:g} s")


def take_over(
    client: DockerClient, server: Server, container: DockerClient, others: list[DockerClient], drain: int
) -> None:
    """Give a healthy server the port: the others end first, and come back when it cannot have it.

    Raises:
        InvalidInputError: Somebody else listens on the port.
        TrainstackError: The engine refuses.
    """
    from docker.errors import APIError

    with engine_errors(f"giving service {server.name} its port"):
        network = _network(client, server.workspace, inner=False)
        before = [other for other in others if serving(other)]
        stop(before, drain)
        try:
            network.connect(container)
        except APIError as exc:
            for other in before:
                other.start()
            if "already allocated" in str(exc) or "address already in use" in str(exc):
                raise InvalidInputError(
                    f"port {server.port} is taken on the machine of the Docker engine: end what listens there, or "
                    "choose another port",
                    field="port",
                ) from exc
            raise


def stop(some: list[DockerClient], drain: int) -> None:
    """End servers: requests in flight have `drain` seconds to finish."""
    threads = [threading.Thread(target=_stop, args=(container, drain)) for container in some]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def remove(client: DockerClient, some: list[DockerClient], workspace: str, name: str, keep: str = "") -> None:
    """Remove containers of a service, and every volume of it but that of the configuration to keep."""
    from docker.errors import APIError

    with engine_errors(f"removing what service {name} had"):
        for container in some:
            container.remove(force=True)
        for volume in client.volumes.list(filters={"label": [f"{WORKSPACE}={workspace}", f"{NAME}={name}"]}):
            labels: dict[str, str] = volume.attrs.get("Labels") or {}
            if labels.get(CONFIGURATION) != keep:
                volume.remove(force=True)
        if not client.containers.list(all=True, filters={"label": f"{WORKSPACE}={workspace}"}):
            for network in client.networks.list(filters={"label": f"{WORKSPACE}={workspace}"}):
                # Another service may be joining it at this moment.
                with contextlib.suppress(APIError):
                    network.remove()


def log_of(container: DockerClient, lines: int | str = "all") -> bytes:
    """What a server wrote; empty where that cannot be read."""
    from docker.errors import APIError

    with contextlib.suppress(APIError):
        return bytes(container.logs(tail=lines))
    return b""


def _stop(container: DockerClient, drain: int) -> None:
    from docker.errors import APIError

    # What cannot be stopped is removed by force right after.
    with contextlib.suppress(APIError):
        container.stop(timeout=drain)


def _prefix(workspace: str) -> str:
    return f"trainstack-{workspace}-service"


def _network(client: DockerClient, workspace: str, *, inner: bool) -> DockerClient:
    """The network of all services of a workspace: one without ways out, or the one that gives ports."""
    title = f"{_prefix(workspace)}s-{'closed' if inner else 'open'}"
    for network in _named(client, title):
        return network
    return client.networks.create(title, internal=inner, labels={WORKSPACE: workspace}, check_duplicate=True)


def _named(client: DockerClient, title: str) -> Iterator[DockerClient]:
    yield from (network for network in client.networks.list(names=[title]) if network.name == title)


def _arguments(server: Server) -> dict[str, Any]:
    from docker.types import LogConfig

    memory = None if server.memory is None else int(server.memory)
    return {
        "image": server.image,
        "name": server.title,
        "entrypoint": [server.command[0]],
        "command": list(server.command[1:]),
        "labels": server.labels,
        "user": f"{USER}:{USER}",
        "environment": {"HOME": "/tmp", "PYTHONUNBUFFERED": "1", **server.environment},  # noqa: S108
        "working_dir": FOLDER,
        "volumes": {server.title: {"bind": FOLDER, "mode": "ro"}},
        "network": f"{_prefix(server.workspace)}s-closed",
        "ports": {f"{PORT}/tcp": ("127.0.0.1", server.port)},
        "healthcheck": {
            "test": ["CMD", *server.health],
            "interval": _HEALTH_SECONDS * 10**9,
            "timeout": _HEALTH_SECONDS * 10**9,
            "retries": 3,
        },
        "restart_policy": {"Name": "unless-stopped"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": {"/tmp": "rw,nosuid,nodev,mode=1777"},  # noqa: S108
        "pids_limit": 4096,
        "nano_cpus": None if server.cpus is None else int(server.cpus * 10**9),
        "mem_limit": memory,
        "memswap_limit": memory,
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
    }
