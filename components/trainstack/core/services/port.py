"""Which port a service listens on, and whether it can."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from trainstack.core.services.process import Instance, living
from trainstack.core.services.record import ServiceRecord, ServiceSpec, list_services
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.server.http.listening import PortTakenError, check_free
from trainstack.storage import locks
from trainstack.storage.cache import cache_folder
from trainstack.targets import registry

# From TensorFlow Serving's own REST port on, and below the ports that systems hand out to outgoing connections.
_PORTS = range(8501, 9500)


def validate_port(spec: ServiceSpec, record: ServiceRecord | None = None) -> None:
    """Check, without changing anything, that a service could listen where it is asked to.

    Args:
        spec: How the service is asked for.
        record: What is known of it; its own server may hold the port.

    Raises:
        InvalidInputError: The port is out of range, or somebody else listens on it.
    """
    checked_name(spec.name, "service")
    if spec.port == 0:
        return
    if not 1 <= spec.port <= 65535:
        raise InvalidInputError(f"port {spec.port} is not a port: take 1 to 65535, or 0 for a free one", field="port")
    if not registry.capabilities(spec.target).same_machine:
        # Who listens on the engine's machine is found out when the container gets its port.
        return
    if record and any(instance.port == spec.port for instance in living(Path(record.folder))):
        return
    _check_free(spec.host, spec.port)


def chosen_port(
    workspace: Workspace,
    spec: ServiceSpec,
    old: ServiceRecord | None,
    servers: list[Instance],
    progress: Callable[[str], None],
    reserved: contextlib.ExitStack,
) -> int:
    """Choose the port to listen on: the one asked for, else the one it had, else a free one.

    Args:
        workspace: The workspace; no other service's port is taken.
        spec: How the service is asked for.
        old: What is known of it.
        servers: Its servers that live.
        progress: Is told when a kept port is given up.
        reserved: As long as it lasts, no other service of this machine chooses the same port.

    Raises:
        InvalidInputError: The port asked for is taken.
        TrainstackError: No port is free.
    """
    own = {server.port for server in servers}
    if spec.port:
        if spec.port not in own:
            validate_port(spec)
        return spec.port
    if old is not None:
        if old.port in own:
            return old.port
        try:
            check_free(spec.host, old.port)
        except PortTakenError:
            progress(f"port {old.port} is taken by another process: choosing another")
        else:
            return old.port
    return free_port(workspace, spec, reserved)


def free_port(workspace: Workspace, spec: ServiceSpec, reserved: contextlib.ExitStack) -> int:
    """A port that nobody listens on, no other service of the workspace has, and nobody on this machine starts with.

    A server listens on its port only once its model is loaded: until then, others know by a lock that it is taken.
    """
    assigned = {record.port for record in list_services(workspace) if record.name != spec.name}
    for port in _PORTS:
        # Whoever held the lock before may listen by now, so it comes first.
        if port not in assigned and reserved.enter_context(
            locks.try_exclusive(cache_folder() / "ports" / f"{port}.lock")
        ):
            with contextlib.suppress(PortTakenError):
                check_free(spec.host, port)
                return port
    raise TrainstackError(f"no free port from {_PORTS[0]} to {_PORTS[-1]}: choose one with port")


def _check_free(host: str, port: int) -> None:
    try:
        check_free(host, port)
    except PortTakenError as exc:
        raise InvalidInputError(f"{exc}: end that one, or choose another port", field="port") from exc
