"""Reach a Docker engine by its address and say in one line what is wrong when it cannot be reached.

The Docker SDK is loaded by the first call, not with this module.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from trainstack.docker_engine import sdk
from trainstack.errors import InvalidInputError, TrainstackError

DockerClient: TypeAlias = Any
"""A `docker.DockerClient`; the SDK comes without types."""

SCHEMES = ("unix", "tcp", "http", "https", "ssh", "npipe")
_SSH_SECONDS = 20.0


@dataclass(frozen=True)
class EngineInfo:
    """What an engine says of itself.

    Attributes:
        version: Its version, as `20.10.24`.
        rootless: Whether it runs without root's rights.
        system: Operating system and architecture, as `linux/amd64`.
        cpus: CPUs of its machine.
        memory: Bytes of memory of its machine.
        runtimes: Its container runtimes, `nvidia` among them where containers can have GPUs.
    """

    version: str
    rootless: bool
    system: str
    cpus: int
    memory: int
    runtimes: tuple[str, ...]


def connect(docker_host: str | None = None, *, timeout: int = 60) -> DockerClient:
    """Connect to a Docker engine.

    Args:
        docker_host: Its address as `DOCKER_HOST` has it (`unix:///run/docker.sock`, `tcp://HOST:2376`, `ssh://HOST`);
            when left out, that variable, else Docker's current context, else its usual socket.
        timeout: Seconds to wait for each answer.

    Returns:
        A client that has had an answer. Close it when done.

    Raises:
        InvalidInputError: The address is none of Docker's.
        TrainstackError: Nobody answers there; says which address and what to do.
    """
    address = checked_host(docker_host or os.environ.get("DOCKER_HOST") or None)
    ssh = address is not None and address.startswith("ssh://")
    if address is not None and ssh:
        _try_ssh(address)
    docker = sdk.load(ssh=ssh)
    try:
        try:
            client: DockerClient = _client(docker, address, timeout)
        except docker.errors.DockerException as exc:
            # Docker's current context, which only the SDK looks up, may lead through ssh too.
            if ssh or "paramiko" not in str(exc):
                raise
            client = _client(sdk.load(ssh=True), address, timeout)
    except (docker.errors.DockerException, OSError, ValueError) as exc:
        raise unreachable(address, _reason(exc)) from exc
    # For Docker's own programs: the SDK forgets where it was connected to.
    client.trainstack_address = address
    return client


def address(client: DockerClient) -> str | None:
    """The address that `connect` was given or found in `DOCKER_HOST`; None for the usual one."""
    return getattr(client, "trainstack_address", None)


def _client(docker: Any, address: str | None, timeout: int) -> DockerClient:
    # The SDK's `ssh://` goes through the ssh program, so that ~/.ssh/config and agents hold.
    return docker.DockerClient.from_env(
        environment=variables(address) | _tls(), use_ssh_client=True, timeout=timeout, version="auto"
    )


@contextlib.contextmanager
def connected(docker_host: str | None = None, *, timeout: int = 60) -> Generator[DockerClient]:
    """Connect to a Docker engine for the time of the block; see `connect`."""
    client = connect(docker_host, timeout=timeout)
    try:
        yield client
    finally:
        client.close()


def checked_host(address: str | None) -> str | None:
    """Check the form of a Docker address without asking anyone.

    Raises:
        InvalidInputError: It is none of Docker's.
    """
    if not address:
        return None
    parts = urlsplit(address)
    try:
        usable = parts.scheme in SCHEMES and bool(parts.path if parts.scheme == "unix" else parts.netloc or parts.path)
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInputError(
            f"docker_host {address!r} is not an address of Docker's: write unix:///run/docker.sock, tcp://HOST:2376 "
            "or ssh://USER@HOST",
            field="docker_host",
        )
    if parts.password:
        raise InvalidInputError("docker_host holds a password: use a key with ssh, or certificates with tcp")
    return address


def variables(docker_host: str | None) -> dict[str, str]:
    """The variables that make Docker's own programs use an address; none for the usual one."""
    address = docker_host or os.environ.get("DOCKER_HOST")
    return {"DOCKER_HOST": address} if address else {}


def engine_info(client: DockerClient) -> EngineInfo:
    """Ask an engine what it is.

    Raises:
        TrainstackError: It does not answer.
    """
    with engine_errors("asking the Docker engine what it is"):
        info: dict[str, Any] = client.info()
    return EngineInfo(
        version=str(info.get("ServerVersion", "")),
        rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
        system=f"{info.get('OSType', 'linux')}/{_ARCHITECTURES.get(info['Architecture'], info['Architecture'])}",
        cpus=int(info.get("NCPU", 0)),
        memory=int(info.get("MemTotal", 0)),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
    )


@contextlib.contextmanager
def engine_errors(doing: str) -> Generator[None]:
    """Turn what the Docker SDK raises into one line.

    Args:
        doing: What is being done, the line's beginning.

    Raises:
        TrainstackError: The engine refused or has gone.
    """
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as exc:
        raise TrainstackError(f"{doing}: the Docker engine refused: {_one_line(exc.explanation or str(exc))}") from exc
    except (DockerException, RequestException) as exc:
        raise TrainstackError(
            f"{doing}: the Docker engine does not answer ({_reason(exc)}): start it and run again"
        ) from exc


def unreachable(address: str | None, reason: str) -> TrainstackError:
    """The error for an engine that does not answer."""
    where = f"at {address}" if address else "at its usual address (DOCKER_HOST is not set)"
    return TrainstackError(
        f"no Docker engine answers {where}: {reason}; start it, or name another with docker_host or DOCKER_HOST"
    )


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _tls() -> dict[str, str]:
    names = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT", "DOCKER_CONFIG")
    return {name: os.environ[name] for name in names if name in os.environ}


def _try_ssh(address: str) -> None:
    """Ask the engine through ssh once, in batch mode: the SDK's own ssh would ask for passwords and swallow reasons."""
    parts = urlsplit(address)
    if shutil.which("ssh") is None:
        raise unreachable(address, "there is no ssh program on PATH")
    target = f"{parts.username}@{parts.hostname}" if parts.username else str(parts.hostname)
    port = ["-p", str(parts.port)] if parts.port else []
    command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *port, "--", target]
    try:
        completed = subprocess.run(
            [*command, "docker version --format '{{.Server.Version}}'"],
            capture_output=True, text=True, timeout=_SSH_SECONDS, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise unreachable(address, f"ssh did not answer within {_SSH_SECONDS:g} s") from None
    if completed.returncode != 0:
        lines = completed.stderr.strip().splitlines() or [f"ssh ended with code {completed.returncode}"]
        raise unreachable(address, f"over ssh: {lines[-1].strip()}")


def _reason(exc: BaseException) -> str:
    """The innermost reason that has words of its own."""
    for error in reversed(list(_chain(exc))):
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
    return _one_line(str(exc))


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    visited: set[int] = set()
    while exc is not None and id(exc) not in visited:
        visited.add(id(exc))
        yield exc
        # urllib3 and requests hand the real reason on as an argument.
        for inner in (argument for argument in exc.args if isinstance(argument, BaseException)):
            yield from _chain(inner)
        exc = exc.__cause__ or exc.__context__


def _one_line(text: str, limit: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit].rstrip()} …"
