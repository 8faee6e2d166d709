"""A node as a container."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from typing import Any

from trainstack.docker_engine.engine_api import DockerClient
from trainstack.targets.docker.stream import ContainerInput

OUTAGE_SECONDS = 120.0
"""How long an engine may be away, restarted say, before its nodes count as lost."""
_PAUSE_SECONDS = 0.5
# An agent that was asked to end says so with 128 + SIGTERM; any other such code is the signal's own doing.
_ASKED_TO_END = 128 + signal.SIGTERM


class StartedNode:
    """A container that has been started, with an agent that waits to be told its variables."""

    def __init__(self, client: DockerClient, container: str) -> None:
        """Start a container that has been created."""
        self._client = client
        self._container = container
        self._input = ContainerInput(client, container)
        try:
            client.api.start(container)
        except BaseException:
            self._input.close()
            raise

    def start_script(self, variables: dict[str, str]) -> DockerNode:
        """Hand over what no configuration may hold; gives the node that now works."""
        self._input.write(json.dumps(variables).encode() + b"\n")
        return DockerNode(self._client, self._container, self._input)


class DockerNode:
    """A container with a node's agent as its first process; a thread waits for its end."""

    termination_reason = ""

    def __init__(self, client: DockerClient, container: str, standard_input: ContainerInput | None = None) -> None:
        """Watch a container that has been started.

        Args:
            client: The engine.
            container: The container.
            standard_input: Its standard input, to be closed once it has ended.
        """
        self.container = container
        self._client = client
        self._input = standard_input
        self._code: int | None = None
        self._out_of_memory = False
        threading.Thread(target=self._wait, daemon=True, name=f"wait {container[:12]}").start()

    def poll(self) -> int | None:
        """Exit code of the agent, negative for a signal; none while it runs or its engine is away for a while."""
        return self._code

    def terminate(self) -> None:
        """Send SIGTERM to the agent: it passes it on and keeps the grace period."""
        self._signal("SIGTERM")

    def kill(self) -> None:
        """SIGKILL the container."""
        self._signal("SIGKILL")
        deadline = time.monotonic() + 10
        while self._code is None and time.monotonic() < deadline:
            time.sleep(0.02)

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel ended something in it for want of memory, as the engine tells."""
        return self._out_of_memory

    def _signal(self, name: str) -> None:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        # It has ended, or its engine is away: what waits for its end will tell.
        with contextlib.suppress(DockerException, RequestException):
            self._client.api.kill(self.container, name)

    def _wait(self) -> None:
        from docker.errors import DockerException, NotFound
        from requests.exceptions import RequestException

        away_since: float | None = None
        while self._code is None:
            try:
                self._client.api.wait(self.container)
                state = self._client.api.inspect_container(self.container)["State"]
                self._out_of_memory = bool(state.get("OOMKilled"))
                if not state.get("Running"):
                    self._code = exit_code(state)
                away_since = None
            except NotFound:
                self._code = -signal.SIGKILL
            except (DockerException, RequestException):
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > OUTAGE_SECONDS:
                    self._code = -signal.SIGKILL
                time.sleep(_PAUSE_SECONDS)
        if self._input:
            self._input.close()


def exit_code(state: dict[str, Any]) -> int:
    """The agent's exit code, negative for a signal.

    Args:
        state: What the engine says of a container that has ended.
    """
    code = int(state.get("ExitCode") or 0)
    # 255 is what an engine writes that was away when the container ended.
    if code == 255:
        return -signal.SIGKILL
    return 128 - code if 128 < code < 128 + 65 and code != _ASKED_TO_END else code
