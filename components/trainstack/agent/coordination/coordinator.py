"""Node 0's side of the agreement: it waits for the members, starts all nodes at once, and decides how the run ended."""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import threading
import time
from dataclasses import asdict

from ..errors import LaunchError
from ..plan import COORDINATION_PORT, LaunchPlan
from ..ranks.wakeup import Wakeup
from ..reporting.report import FAILED, SUCCEEDED, TERMINATED, Failure, failure_from_json
from .channel import LOST_SECONDS, Channel, ConnectionLostError, challenge, proof
from .coordination import AllJoined, Coordination, RunEnded

_HELLO_SECONDS = 10.0


class Coordinator(Coordination):
    """Listens for the other agents; the first failure or stop of any node ends the run on all nodes."""

    def __init__(self, wakeup: Wakeup, plan: LaunchPlan) -> None:
        """Coordinate the nodes of `plan`."""
        super().__init__(wakeup)
        self._plan = plan
        self._lock = threading.Lock()
        self._channels: dict[int, Channel] = {}
        self._readers: list[threading.Thread] = []
        self._done: set[int] = set()
        self._end: RunEnded | None = None
        self._server: socket.socket | None = None

    def join(self) -> None:
        """Listen; `AllJoined` is posted when all nodes have joined, a `LaunchError` when they don't in time.

        Raises:
            LaunchError: The port is taken.
        """
        address = (self._plan.nodes[0], self._plan.ports[COORDINATION_PORT])
        self._server = listen(*address)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True, name="accept").start()
        threading.Thread(target=self._wait_for_all, daemon=True, name="join").start()

    def done(self) -> None:
        """Report that node 0's scripts have succeeded; the run has when those of all nodes have."""
        self._node_done(0)

    def failed(self, failure: Failure) -> None:
        """End all nodes because of `failure`."""
        self._decide(RunEnded(FAILED, failure))

    def stopped(self) -> None:
        """End all nodes because this one was asked to stop."""
        self._decide(RunEnded(TERMINATED))

    def close(self) -> None:
        """Let the last messages arrive, then close."""
        if self._server:
            self._server.close()
        for channel in self._channels.values():
            channel.close()
        deadline = time.monotonic() + 1.0
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                connection, _ = server.accept()
                reader = threading.Thread(target=self._serve, args=(connection,), daemon=True, name="node")
                self._readers.append(reader)
                reader.start()

    def _serve(self, connection: socket.socket) -> None:
        """Handle the messages of one connection, if it is a member of this run."""
        channel = Channel(connection)
        node = self._admit(channel, connection)
        if node is None:
            channel.drop()
            return
        try:
            while True:
                message = channel.receive()
                if message.get("done"):
                    self._node_done(node)
                elif "failed" in message:
                    self._decide(RunEnded(FAILED, failure_from_json(message["failed"])))
                elif message.get("stopped"):
                    self._decide(RunEnded(TERMINATED))
        except (ConnectionLostError, LaunchError):
            self._decide(RunEnded(FAILED, Failure(node, f"the agent of node {node} was lost", time.time())))

    def _admit(self, channel: Channel, connection: socket.socket) -> int | None:
        """Return the node that has connected, or None when it is not a member of this run."""
        nonce = challenge()
        channel.send({"challenge": nonce})
        connection.settimeout(_HELLO_SECONDS)
        try:
            hello = channel.receive()
        except ConnectionLostError:
            return None
        node, signed = hello.get("node"), str(hello.get("proof"))
        if not isinstance(node, int) or not 0 < node < len(self._plan.nodes):
            return None
        if not hmac.compare_digest(signed, proof(nonce, node)):
            return None
        with self._lock:
            if node in self._channels:
                return None
            connection.settimeout(LOST_SECONDS)
            channel.start_heartbeat()
            self._channels[node] = channel
            if self._end:
                channel.send(_end_message(self._end))
            elif len(self._channels) == len(self._plan.nodes) - 1:
                for other in self._channels.values():
                    other.send({"go": True})
                self._wakeup.post(AllJoined())
        return node

    def _wait_for_all(self) -> None:
        time.sleep(self._plan.join_seconds)
        with self._lock:
            missing = [node for node in range(1, len(self._plan.nodes)) if node not in self._channels]
            if missing and not self._end:
                where = ", ".join(f"node {node} ({self._plan.nodes[node]})" for node in missing)
                text = f"{where} did not join within {self._plan.join_seconds:g} s"
                self._wakeup.post(LaunchError(text))

    def _node_done(self, node: int) -> None:
        with self._lock:
            self._done.add(node)
            complete = len(self._done) == len(self._plan.nodes)
        if complete:
            self._decide(RunEnded(SUCCEEDED))

    def _decide(self, end: RunEnded) -> None:
        with self._lock:
            if self._end:
                return
            self._end = end
            for channel in self._channels.values():
                channel.send(_end_message(end))
            self._wakeup.post(end)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on one port of this node.

    Args:
        host: The address of this node to listen on, and no other.
        port: The port.

    Raises:
        LaunchError: The port is taken, or the address is not this node's.
    """
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as exc:
        # The error's own text names the address a second time.
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc)
        raise LaunchError(f"cannot listen on {host}:{port}: {reason}") from exc


def _end_message(end: RunEnded) -> dict[str, object]:
    return {"end": end.state, "failure": end.failure and asdict(end.failure)}
