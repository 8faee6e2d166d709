"""A workspace's server on a cluster as if it were on this machine: a port of 127.0.0.1 that leads to its pod."""

from __future__ import annotations

from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.tracking_server import ClusterServer
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.kubernetes.api.client import Access
from trainstack.targets.kubernetes.api.port_forward import Forward
from trainstack.targets.kubernetes.config import Cluster
from trainstack.targets.kubernetes.objects.tracking_objects import PORT


class ForwardedServer:
    """The way to the server. It goes on when the pod is replaced: each connection is led to one that is ready."""

    def __init__(self, workspace: Workspace, server: ClusterServer) -> None:
        self._workspace = workspace
        self._server = server
        self._forward: Forward | None = None
        self._said = ""

    @property
    def alive(self) -> bool:
        """Whether the port leads there."""
        return self._forward is not None

    @property
    def said(self) -> str:
        """Why the last connection that was not led there was not."""
        return self._said

    def start(self) -> None:
        """Lead the workspace's port there; whether anybody answers is for the caller to ask.

        Raises:
            TrainstackError: No port is free.
        """
        access = Access(Cluster(context=self._server.context or None, namespace=self._server.namespace))
        listening = tracking_server.listen(self._workspace)
        self._forward = Forward(access, self._server.name, PORT, listening, self._hear)

    def end(self) -> None:
        """Lead nobody there any more."""
        if self._forward is not None:
            self._forward.close()

    def _hear(self, reason: str) -> None:
        if reason != self._said:
            print(reason, flush=True)
        self._said = reason
