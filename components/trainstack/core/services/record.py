"""What a workspace knows of a web service: how it is asked for, its record, and how it does."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from trainstack.core.models.model_record import ModelRecord
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage.atomic import disk_errors, read_json, write_json
from trainstack.storage.log_file import open_log
from trainstack.targets import registry
from trainstack.targets.compute_spec import config_of, serving_of
from trainstack.targets.config import ServingOptions, TargetConfig

_RECORD = "service.json"
LATEST = "latest"
"""Stands for the version of the model that a service is declared with."""


class _OnTarget(BaseModel):
    """A service at a target; the target's name says which models its options are."""

    @field_validator("target", check_fields=False)
    @classmethod
    def _is_registered(cls, target: str) -> str:
        if registry.find_plugin(target) is None:
            raise ValueError(f"is none of {', '.join(registry.names())}, but {target!r}")
        return target

    @field_validator("cluster", mode="before", check_fields=False)
    @classmethod
    def _config_of_target(cls, config: object, info: ValidationInfo) -> TargetConfig | None:
        target = info.data.get("target")
        return None if config is None or target is None else config_of(target, config)

    @field_validator("serving", mode="before", check_fields=False)
    @classmethod
    def _serving_of_target(cls, options: object, info: ValidationInfo) -> ServingOptions | None:
        target = info.data.get("target")
        return None if options is None or target is None else serving_of(target, options)


class ServiceSpec(_OnTarget):
    """How a service is asked for.

    Attributes:
        name: Its name.
        port: Its port; 0 for a free one, which is then kept.
        host: The address to listen on; another than this machine's own takes a key.
        grpc_port: Another port, for gRPC; None for none.
        traffic: Version number (or `latest`, the model's own) to its share; all to the model's own when empty.
        mirror: A version that gets a copy of what the others answer.
        labels: Version label to version number, or `latest`.
        key_digests: SHA-256 of each key that is let in; everybody when empty.
        allowed_hosts: Names by which it may be asked where it has no key, besides those that are its own.
        cors_origins: Origins of web pages whose scripts may use it.
        tls_certificate: PEM file with the certificate chain, for https.
        tls_key: PEM file with its private key.
        capture: Share of requests that are kept in the workspace, 0 to 1.
        runtime: `auto`, or `tensorflow` to never use LiteRT.
        workers: Processes that answer; None for what the model asks for, at most one a core.
        start_timeout: Seconds that the model has to load and answer.
        drain_timeout: Seconds that requests in flight have to finish when the service stops.
        target: Where it runs: `local`, a process of this machine, `docker`, a container, or `kubernetes`, pods.
        docker_host: The engine's address, for `docker`.
        cluster: Which cluster, for `kubernetes`.
        serving: How it runs there.
        object_name: What its objects there are called.
        server: `trainstack`, or `tensorflow-serving`, which only containers have.
        server_image: The image of TensorFlow Serving.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    port: int = 0
    host: str = "127.0.0.1"
    grpc_port: int | None = Field(default=None, gt=0, lt=65536)
    traffic: dict[str, int] = {}
    mirror: str | None = None
    labels: dict[str, str] = {}
    key_digests: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    tls_certificate: str | None = None
    tls_key: str | None = None
    capture: float = Field(default=0.0, ge=0, le=1)
    runtime: Literal["auto", "tensorflow"] = "auto"
    workers: int | None = Field(default=None, gt=0, le=64)
    start_timeout: float = Field(default=180.0, gt=0)
    drain_timeout: int = Field(default=20, gt=0)
    target: str = registry.DEFAULT
    docker_host: str | None = None
    cluster: SerializeAsAny[TargetConfig] | None = None
    serving: SerializeAsAny[ServingOptions] | None = None
    object_name: str = ""
    server: Literal["trainstack", "tensorflow-serving"] = "trainstack"
    server_image: str | None = None

    @model_validator(mode="after")
    def _check(self) -> ServiceSpec:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            raise ValueError(f"host {self.host!r} is no address: write one like 127.0.0.1, 0.0.0.0 or ::") from None
        for name in (*self.traffic, *self.labels.values(), *([self.mirror] if self.mirror is not None else [])):
            if name != LATEST and not (name.isdecimal() and int(name) > 0):
                raise ValueError(f"version {name!r} is no number of a version, and not {LATEST!r}")
        if self.traffic and (min(self.traffic.values()) < 0 or not any(self.traffic.values())):
            raise ValueError("traffic: shares are whole numbers from 0 on, and one is more than 0")
        for origin in self.cors_origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/?#@\s]+", origin):
                raise ValueError(f"cors_origins: {origin!r} is no origin: write one like https://app.example.com, or *")
        if self.grpc_port is not None and (self.tls_certificate is not None or self.grpc_port == self.port):
            raise ValueError("grpc_port is a port of its own, without TLS: leave out tls_certificate or grpc_port")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


class ServiceRecord(_OnTarget):
    """What is known of a service.

    Attributes:
        name: Its name.
        model_name: The model that it serves.
        model_version: The model's version.
        model_digest: The digest of that version's files.
        host: The address that it listens on.
        port: The port; kept when the service stops, for when it starts again.
        scoring_uri: Where predictions are posted to.
        tls: Whether it speaks https.
        shares: Version number to its share of the traffic.
        runtime: What computes: `litert`, `tensorflow` or both.
        runtime_reason: Why.
        pid: The server's process, while it runs.
        status: What was last done: `starting`, `running`, `stopped` or `failed`.
        started: When it last became healthy, ISO 8601, UTC.
        python: The interpreter that runs the server.
        folder: The service's folder.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=(), defer_build=True)

    name: str
    model_name: str
    model_version: int
    model_digest: str
    host: str
    port: int
    scoring_uri: str
    tls: bool = False
    shares: dict[str, int] = {}
    runtime: str = ""
    runtime_reason: str = ""
    pid: int | None = None
    status: Literal["starting", "running", "stopped", "failed"]
    started: str | None = None
    python: str
    target: str = registry.DEFAULT
    docker_host: str | None = None
    cluster: SerializeAsAny[TargetConfig] | None = None
    serving: SerializeAsAny[ServingOptions] | None = None
    object_name: str = ""
    image: str | None = None
    container: str | None = None
    folder: str = Field(exclude=True)

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return Path(self.folder) / "log.txt"


class ServiceStatus(BaseModel):
    """How a service does, as asked of the service itself.

    Attributes:
        state: `healthy`: it answers and serves the recorded model. `other`: it serves another digest.
            `starting`: a server is there and does not answer yet. `down`: none is there.
        digest: The digest that it says it serves, where it answers.
        detail: The same for people, in one line.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    state: Literal["healthy", "other", "starting", "down"]
    digest: str | None = None
    detail: str

    def drift(self, digest: str) -> str:
        """Why the service is not what it should be: one that serves the model of this digest; empty when it is."""
        return "" if self.state == "healthy" and self.digest == digest else self.detail


def new_record(workspace: Workspace, spec: ServiceSpec, model: ModelRecord, python: str, port: int) -> ServiceRecord:
    """Begin the record of a service that is about to start.

    Args:
        workspace: The workspace.
        spec: How the service is asked for.
        model: The registered version that it is to serve.
        python: The interpreter that is to run the server.
        port: The port that is its own.
    """
    scheme = "https" if spec.tls_certificate else "http"
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return ServiceRecord(
        name=spec.name,
        model_name=model.name,
        model_version=model.version,
        model_digest=model.digest,
        host=spec.host,
        port=port,
        scoring_uri=f"{scheme}://{host}:{port}/v1/models/{model.name}:predict",
        tls=spec.tls_certificate is not None,
        status="starting",
        python=python,
        folder=str(workspace.service(spec.name)),
    )


def reported_runtime(health: dict[str, Any], model: ModelRecord) -> dict[str, str]:
    """What computes a model's version, and why, of what our server says at `/healthz`; as fields of a record."""
    own = next(version for version in health["versions"] if version["version"] == model.version)
    return {"runtime": own["runtime"], "runtime_reason": own["runtime_reason"]}


def read_record(workspace: Workspace, name: str) -> ServiceRecord | None:
    """Read a service's record; None where there never was one."""
    folder = workspace.service(name)
    try:
        return ServiceRecord(**read_json(folder / _RECORD), folder=str(folder))
    except FileNotFoundError:
        return None
    except (ValidationError, TypeError) as exc:
        raise TrainstackError(f"{folder / _RECORD} is damaged: move it away and run again") from exc


def write_record(record: ServiceRecord) -> None:
    """Write a service's record, whole or not at all."""
    write_json(Path(record.folder) / _RECORD, record.model_dump(mode="json"))


def append_log(record: ServiceRecord, output: bytes) -> None:
    """Keep what a server elsewhere wrote, where the log of one on this machine is."""
    with disk_errors(record.log), open_log(record.log) as log:
        log.write(output)


def list_services(workspace: Workspace) -> list[ServiceRecord]:
    """The records of all services, by name."""
    names: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        names = sorted(path.name for path in (workspace.root / "services").iterdir() if path.is_dir())
    return [record for name in names if (record := read_record(workspace, name)) is not None]
