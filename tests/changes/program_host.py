"""Runs a stack's program and its provider in the test's own process, for the real engine to call.

Six starts of Python a row, each of which imports Pulumi and Trainstack anew, are half of what a row takes. The engine
has ways around them: that of the Automation API's inline programs (`pulumi preview --client=ADDRESS`), and that for
debugging a provider (`PULUMI_DEBUG_PROVIDERS=NAME:PORT`).
"""

from __future__ import annotations

import io
import os
import queue
import runpy
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import ResourceProviderServicer, language_pb2_grpc

from trainstack.provider import resource_log


@contextmanager
def program_host() -> Iterator[ProgramHost]:
    """A host that listens for engines, until the block ends."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    host = ProgramHost()
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageServer(host.run), server)
    host.port = server.add_insecure_port("127.0.0.1:0")
    host.provider_port = _start_provider()
    server.start()
    try:
        yield host
    finally:
        server.stop(grace=None).wait()


class ProgramHost:
    """What the engine calls in place of a language plugin and of a provider's process.

    Attributes:
        port: Where the program listens.
        provider_port: Where the provider listens.
        folder: The folder of the program that the next call runs.
    """

    port: int
    provider_port: int
    folder: Path

    def run(self) -> None:
        """Run the program as the plugin does: in its own folder.

        The folder stays the process's own afterwards: resources resolve their paths when the program has ended.
        """
        os.chdir(self.folder)
        runpy.run_path("__main__.py", run_name="__main__")


def _start_provider() -> int:
    """Pulumi's dynamic provider in a thread; it writes its port to its standard output, and never ends."""
    ports: queue.Queue[bytes] = queue.Queue()

    class Output(io.BytesIO):
        def write(self, data: Any) -> int:
            ports.put(bytes(data))
            return len(data)

    def attach(self: object, request: Any, context: object) -> Empty:
        # The engine tells a provider that it starts its address by the last argument.
        sys.argv = ["provider", request.address]
        resource_log._engine.cache_clear()  # pyright: ignore[reportPrivateUsage]
        return Empty()

    ResourceProviderServicer.Attach = attach
    with redirect_stdout(io.TextIOWrapper(Output(), write_through=True)):
        threading.Thread(
            target=runpy.run_module, args=("pulumi.dynamic",), kwargs={"run_name": "provider"}, daemon=True
        ).start()
        return int(ports.get(timeout=60))
