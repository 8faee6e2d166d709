"""The other nodes' side of the agreement: they join node 0 and do as it says."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import asdict

from ..document import LaunchError
from ..plan import COORDINATION_PORT, LaunchPlan
from ..ranks.wakeup import Wakeup
from ..reporting.report import FAILED, Failure, failure_from_json
from .channel import Link, Lost, proof
from .coordination import Coordination, End, Go

_RETRY_SECONDS = 0.1


class Follower(Coordination):
    """Follows node 0, and ends when node 0's agent is lost."""

    def __init__(self, wakeup: Wakeup, plan: LaunchPlan, node: int) -> None:
        """Be node number `node` of `plan`."""
        super().__init__(wakeup)
        self._plan = plan
        self._node = node
        self._link: Link | None = None
        self._reader = threading.Thread(target=self._follow, daemon=True, name="node 0")

    def join(self) -> None:
        """Connect in the background; a `LaunchError` is posted when node 0 does not answer in time."""
        self._reader.start()

    def done(self) -> None:
        """Tell node 0 that all is well here."""
        self._tell({"done": True})

    def failed(self, failure: Failure) -> None:
        """Tell node 0, which ends all others."""
        self._tell({"failed": asdict(failure)})

    def stopped(self) -> None:
        """Tell node 0, which ends all others."""
        self._tell({"stopped": True})

    def close(self) -> None:
        """Let the last words arrive, then hang up."""
        if self._link:
            self._link.close()
            self._reader.join(0.2)

    def _tell(self, message: dict[str, object]) -> None:
        if self._link:
            self._link.send(message)

    def _follow(self) -> None:
        host, port = self._plan.nodes[0], self._plan.ports[COORDINATION_PORT]
        try:
            link = Link(connect(host, port, self._plan.join_seconds))
        except LaunchError as exc:
            self._wakeup.post(exc)
            return
        self._link = link
        try:
            nonce = str(link.receive().get("challenge"))
            link.send({"node": self._node, "proof": proof(nonce, self._node)})
            link.beat()
            while True:
                message = link.receive()
                if message.get("go"):
                    self._wakeup.post(Go())
                elif "end" in message:
                    failure = message.get("failure")
                    self._wakeup.post(End(message["end"], failure and failure_from_json(failure)))
        except (Lost, LaunchError):
            # After an end this changes nothing any more.
            self._wakeup.post(End(FAILED, Failure(0, "the agent of node 0 was lost", time.time())))


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to a port that may not be open yet.

    Args:
        host: Whom to call.
        port: On which port.
        seconds: How long to try.

    Raises:
        LaunchError: Nobody has answered in that time.
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
