"""Load the Docker SDK without what it would bring for ssh, unless that is where an engine is.

With its extra for ssh the SDK loads paramiko together with itself, which takes longer than all of the rest. Here ssh is
the ssh program, and of paramiko only its being there is needed.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

_NAME = "paramiko"
_LOCK = threading.Lock()


def load(*, ssh: bool) -> Any:
    """Import the SDK.

    Args:
        ssh: Whether engines are to be reached through ssh.
    """
    with _LOCK:
        if "docker" not in sys.modules and _NAME not in sys.modules and not ssh:
            _import_without_ssh()
        import docker
        import docker.api.client

        client: Any = docker.api.client
        if ssh and not hasattr(client, "SSHHTTPAdapter"):
            from docker.transport.sshconn import SSHHTTPAdapter

            client.SSHHTTPAdapter = SSHHTTPAdapter
        return docker


def _import_without_ssh() -> None:
    """Import the SDK as where paramiko is not installed."""
    modules: Any = sys.modules
    modules[_NAME] = None
    try:
        __import__("docker")
    finally:
        del modules[_NAME]
