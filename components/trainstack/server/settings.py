"""What one server process is told on its command line."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .http.auth import key_digest
from .serving_plan import Plan, VersionPlan


@dataclass(frozen=True)
class Settings:
    """The settings of a server. What may change while it runs is in its plan.

    Attributes:
        plan_path: File with the plan, watched for changes; None when the command line is the plan.
        plan: The plan that the command line gives; None when a file does.
        state: Folder for what the server keeps: conversions, and what its workers say of themselves.
        host: Address to listen on.
        port: Port to listen on.
        takeover: Socket on which a running server hands over its listening socket.
        lock: File that the process holds locked while it lives, and in which it says who it is.
        detach: Whether to leave the starting process for a session of its own, once the lock is held.
        release: A descriptor that came along, to close once the lock is held.
        workers: Processes that answer.
        threads: Threads that one call of the model may use.
        latency: The longest that one call with rows of several requests should take, in seconds.
        max_queue: Requests that one worker holds at once; more are refused with 429.
        max_body: Largest request body, in bytes, as sent and after decompression.
        max_held: The most bytes of requests that one worker holds at once, as sent and after decompression.
        max_connections: The most connections of one worker; beyond, those that ask for nothing make room.
        body_timeout: Seconds that a client has to send its body, and to read an answer or go on reading it.
        deadline: Seconds that a request may take, from its first byte to its answer.
        drain: Seconds that requests in flight have to finish after SIGTERM.
        linger: Seconds after SIGTERM in which requests are still taken, before the drain.
        metrics_port: Port at which metrics are read without a key; None for none.
        grpc_port: Port for gRPC; None for none.
        tls_certificate: PEM file with the certificate chain; None for plain HTTP.
        tls_key: PEM file with its private key.
        code: Which version of the server itself was asked for; only kept for comparison.
        open_to_all: Whether it may listen beyond this machine without a key.
    """

    plan_path: Path | None
    plan: Plan | None
    state: Path | None
    host: str
    port: int
    takeover: Path | None
    lock: Path | None
    detach: bool
    release: int | None
    workers: int
    threads: int
    latency: float
    max_queue: int
    max_body: int
    max_held: int
    max_connections: int
    body_timeout: float
    deadline: float
    drain: int
    linger: float
    metrics_port: int | None
    grpc_port: int | None
    tls_certificate: Path | None
    tls_key: Path | None
    code: str
    open_to_all: bool


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; argparse ends the process with a usage line when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="serving",
        description="Serve a SavedModel by TensorFlow Serving's REST paths and the Open Inference Protocol. "
        "`serving convert --help` tells how a model is converted beforehand.",
    )
    source = parser.add_argument_group("what to serve").add_argument
    source("--plan", type=Path, help="JSON file with versions, traffic and keys, watched for changes")
    source("--model-path", type=Path, help="folder with saved_model.pb, where there is no plan")
    source("--model-name", help="the model's name in the paths")
    source("--model-version", type=int, default=1, help="its version in the paths")
    source("--model-digest", default="", help="digest over its files, answered in X-Model-Digest")
    source("--sample-input", type=Path, help="file with JSON to warm up and compare with")
    source("--key-file", type=Path, help="file with the key that clients must send")
    source("--key-digest", action="append", default=[], help="SHA-256 of a key that clients may send")
    source("--runtime", choices=["auto", "tensorflow"], default="auto", help="tensorflow: never use LiteRT")
    network = parser.add_argument_group("where").add_argument
    network("--host", default="127.0.0.1", help="address to listen on")
    network("--port", type=int, default=8501, help="port to listen on")
    network("--tls-certificate", type=Path, help="PEM file with the certificate chain")
    network("--tls-key", type=Path, help="PEM file with its private key")
    network("--open-to-all", action="store_true", help="listen beyond this machine without a key")
    network("--allowed-host", action="append", default=[], help="name by which clients without a key may ask, or *")
    network("--grpc-port", type=int, help="another port, for gRPC")
    network("--cors-origin", action="append", default=[], help="origin of web pages that may use it, or *")
    network("--metrics-port", type=int, help="another port, where /metrics is read without a key")
    network("--takeover", type=Path, help="socket on which a running server hands over its listening socket")
    limits = parser.add_argument_group("how").add_argument
    limits("--state", type=Path, help="folder to keep conversions in; a temporary one when left out")
    limits("--workers", type=int, default=os.cpu_count() or 1, help="processes that answer; one a core")
    limits("--threads", type=int, default=1, help="threads that one call of the model may use")
    limits("--latency", type=float, default=0.005, help="longest call with rows of several requests, in seconds")
    limits("--max-queue", type=int, default=1024, help="requests that one worker holds at once")
    limits("--max-body", type=int, default=64 * 2**20, help="largest request body, in bytes")
    limits("--max-held", type=int, default=256 * 2**20, help="bytes of requests that one worker holds at once")
    limits("--max-connections", type=int, default=4096, help="connections of one worker")
    limits("--body-timeout", type=float, default=60.0, help="seconds that a client has to send its body")
    limits("--deadline", type=float, default=60.0, help="seconds that a request may take")
    limits("--drain", type=int, default=20, help="seconds that requests in flight have after SIGTERM")
    limits("--linger", type=float, default=0.0, help="seconds after SIGTERM in which requests are still taken")
    process = parser.add_argument_group("process").add_argument
    process("--code", default="", help="which version of this program was asked for")
    process("--lock", type=Path, help="file to hold locked while the server lives")
    process("--detach", action="store_true", help="go on in a session of its own")
    process("--release", type=int, help="descriptor to close once the lock is held")
    options = vars(parser.parse_args(arguments))
    plan = _plan(parser, options)
    if (options["tls_certificate"] is None) != (options["tls_key"] is None):
        parser.error("--tls-certificate and --tls-key go together")
    if options["grpc_port"] is not None and options["tls_certificate"] is not None:
        parser.error("gRPC is served without TLS only: leave out --grpc-port or --tls-certificate")
    return Settings(plan_path=options.pop("plan"), plan=plan, **options)


def _plan(parser: argparse.ArgumentParser, options: dict[str, Any]) -> Plan | None:
    """Take the plan out of the arguments; None when a file has it."""
    path, name = options.pop("model_path"), options.pop("model_name")
    version, digest, runtime = options.pop("model_version"), options.pop("model_digest"), options.pop("runtime")
    sample, key = options.pop("sample_input"), options.pop("key_file")
    digests: list[str] = options.pop("key_digest")
    allowed: list[str] = options.pop("allowed_host")
    origins: list[str] = options.pop("cors_origin")
    if options["plan"] is not None:
        if path is not None:
            parser.error("--plan and --model-path exclude each other")
        return None
    if not isinstance(path, Path) or not isinstance(name, str) or not isinstance(version, int):
        parser.error("--plan, or --model-path and --model-name, are required")
    try:
        return Plan(
            name=name,
            versions=(
                VersionPlan(
                    version=version,
                    path=os.fspath(path.absolute()),
                    digest=str(digest),
                    sample_input=json.loads(sample.read_bytes()) if isinstance(sample, Path) else None,
                ),
            ),
            key_digests=(*digests, *([key_digest(key.read_text().strip())] if isinstance(key, Path) else [])),
            allowed_hosts=tuple(allowed),
            cors_origins=tuple(origins),
            runtime=str(runtime),
        )
    except (OSError, ValueError) as exc:
        parser.error(str(exc))
