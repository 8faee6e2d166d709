"""The other nodes' side of the agreement: they join node 0 and follow its messages."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import asdict

from ..errors import LaunchError
from ..plan import COORDINATION_PORT, LaunchPlan
from ..ranks.wakeup import Wakeup
from ..reporting.report import FAILED, Failure, failure_from_json
from .channel import Channel, ConnectionLostError, proof
from .coordination import AllJoined, Coordination, RunEnded

_RETRY_SECONDS = 0.1


class Member(Coordination):
    """Follows the coordinator, and fails when the coordinator is lost."""

    def __init__(self, wakeup: Wakeup, plan: LaunchPlan, node: int) -> None:
        """Take part as node `node` of `plan`."""
        super().__init__(wakeup)
        self._plan = plan
        self._node = node
        self._channel: Channel | None = None
        self._reader = threading.Thread(target=self._run, daemon=True, name="node 0")

    def join(self) -> None:
        """Connect in the background; a `LaunchError` is posted when node 0 does not answer in time."""
        self._reader.start()

    def done(self) -> None:
        """Report to node 0 that the scripts of this node have succeeded."""
        self._send({"done": True})

    def failed(self, failure: Failure) -> None:
        """Report to node 0, which ends all nodes."""
        self._send({"failed": asdict(failure)})

    def stopped(self) -> None:
        """Report to node 0, which ends all nodes."""
        self._send({"stopped": True})

    def close(self) -> None:
        """Let the last messages arrive, then close."""
        if self._channel:
            self._channel.close()
            self._reader.join(0.2)

    def _send(self, message: dict[str, object]) -> None:
        if self._channel:
            self._channel.send(message)

    def _run(self) -> None:
        host, port = self._plan.nodes[0], self._plan.ports[COORDINATION_PORT]
        try:
            channel = Channel(connect(host, port, self._plan.join_seconds))
        except LaunchError as exc:
            self._wakeup.post(exc)
            return
        self._channel = channel
        try:
            nonce = str(channel.receive().get("challenge"))
            channel.send({"node": self._node, "proof": proof(nonce, self._node)})
            channel.start_heartbeat()
            while True:
                message = channel.receive()
                if message.get("go"):
                    self._wakeup.post(AllJoined())
                elif "end" in message:
                    failure = message.get("failure")
                    self._wakeup.post(RunEnded(message["end"], failure and failure_from_json(failure)))
        except (ConnectionLostError, LaunchError):
            # After an end this changes nothing any more.
            self._wakeup.post(RunEnded(FAILED, Failure(0, "the agent of node 0 was lost", time.time())))


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to a port that may not be open yet.

    Args:
        host: The address.
        port: The port.
        seconds: How long to try.

    Raises:
        LaunchError: Nothing answers in that time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection((host, port), timeout=max(0.1, min(10.0, seconds)))
        except OSError as exc:
            if time.monotonic() >= deadline:
                reason = exc.strerror or str(exc)
                text = f"node 0 cannot be reached at {host}:{port} within {seconds:g} s: {reason}"
                raise LaunchError(text) from exc
            time.sleep(_RETRY_SECONDS)
