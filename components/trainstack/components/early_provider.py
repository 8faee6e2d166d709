"""Start the provider's process while the program still reads its files and checks its arguments.

The engine starts a provider for the first resource that needs it, and a Pulumi program sends its first when it has run
to its end. The provider loads Pulumi's SDK for a fifth of a second: it can do that meanwhile.
"""

from __future__ import annotations

import threading

import grpc
from pulumi.runtime.proto import resource_pb2, resource_pb2_grpc
from pulumi.runtime.settings import get_monitor


def start() -> None:
    """Have the engine start the dynamic provider, without waiting for it. Does nothing outside of a Pulumi program.

    The request is a read which the engine refuses when it has found the provider, and before it reads: it depends on
    what is no URN. An engine that refuses it earlier starts the provider when it always did.
    """
    monitor = get_monitor()
    if isinstance(monitor, resource_pb2_grpc.ResourceMonitorStub):
        threading.Thread(target=_refused_read, args=(monitor,), name="early provider", daemon=True).start()


def _refused_read(monitor: resource_pb2_grpc.ResourceMonitorStub) -> None:
    request = resource_pb2.ReadResourceRequest(type="pulumi-python:dynamic:Resource", dependencies=["none"])
    try:
        monitor.ReadResource(request)  # pyright: ignore[reportUnknownMemberType]
    except (grpc.RpcError, ValueError):  # ValueError: the program has ended and closed its channel.
        return
