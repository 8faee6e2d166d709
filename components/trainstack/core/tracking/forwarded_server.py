"""A workspace's server on a cluster, at a port of 127.0.0.1 that is forwarded to its pod."""

from __future__ import annotations

from trainstack.core.tracking.settings import ClusterServer, listen
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.port_forward import Forward
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects.tracking_objects import PORT


class ForwardedServer:
    """The forwarded port. It survives a replaced pod: each connection goes to a pod that is ready."""

    def __init__(self, workspace: Workspace, server: ClusterServer) -> None:
        self._workspace = workspace
        self._server = server
        self._forward: Forward | None = None
        self._problem = ""

    @property
    def alive(self) -> bool:
        """Whether the port is forwarded."""
        return self._forward is not None

    @property
    def problem(self) -> str:
        """Why the last failed connection failed."""
        return self._problem

    def start(self) -> None:
        """Forward the workspace's port; the caller checks whether the server answers.

        Raises:
            TrainstackError: No port is free.
        """
        access = KubernetesApi(KubernetesConfig(context=self._server.context or None, namespace=self._server.namespace))
        listening = listen(self._workspace)
        self._forward = Forward(access, self._server.name, PORT, listening, self._on_problem)

    def stop(self) -> None:
        """Stop forwarding."""
        if self._forward is not None:
            self._forward.close()

    def _on_problem(self, reason: str) -> None:
        if reason != self._problem:
            print(reason, flush=True)
        self._problem = reason
