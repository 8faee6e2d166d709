"""What one server process is told on its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        model_path: Folder with `saved_model.pb`.
        model_name: The model's name in the paths.
        model_version: Its version in the paths.
        model_digest: Digest over its files; answered by `/healthz` and in the header `X-Model-Digest`.
        host: Address to listen on.
        port: Port to listen on.
        shared: Whether another server of the same user may be listening on the port already.
        lock: File that the process holds locked while it lives, and in which it says who it is.
        detach: Whether to leave the starting process for a session of its own, once the lock is held.
        release: A descriptor that came along, to close once the lock is held.
        threads: Threads for TensorFlow, and requests computed side by side.
        sample_input: File with JSON to warm up with; None for zeros.
        max_body: Largest request body, in bytes, as sent and after decompression.
        body_timeout: Seconds that a client has to send its body.
        drain: Seconds that requests in flight have to finish after SIGTERM.
    """

    model_path: Path
    model_name: str
    model_version: int
    model_digest: str
    host: str
    port: int
    shared: bool
    lock: Path | None
    detach: bool
    release: int | None
    threads: int
    sample_input: Path | None
    max_body: int
    body_timeout: float
    drain: int


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; argparse ends the process with a usage line when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="serving", description="Serve a SavedModel by TensorFlow Serving's REST paths."
    )
    add = parser.add_argument
    add("--model-path", type=Path, required=True, help="folder with saved_model.pb")
    add("--model-name", required=True, help="the model's name in the paths")
    add("--model-version", type=int, default=1, help="its version in the paths")
    add("--model-digest", default="", help="digest over its files, answered in X-Model-Digest")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=8501, help="port to listen on")
    add("--shared", action="store_true", help="join a server that listens on the port already")
    add("--lock", type=Path, help="file to hold locked while the server lives")
    add("--detach", action="store_true", help="go on in a session of its own")
    add("--release", type=int, help="descriptor to close once the lock is held")
    add("--threads", type=int, default=2, help="threads for TensorFlow, and requests computed side by side")
    add("--sample-input", type=Path, help="file with JSON to warm up with")
    add("--max-body", type=int, default=64 * 2**20, help="largest request body, in bytes")
    add("--body-timeout", type=float, default=60.0, help="seconds that a client has to send its body")
    add("--drain", type=int, default=20, help="seconds that requests in flight have after SIGTERM")
    return Settings(**vars(parser.parse_args(arguments)))
