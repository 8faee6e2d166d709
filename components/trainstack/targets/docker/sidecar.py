"""The sidecar of a run: a small container that transfers files between the run directory and the run's volumes.

Before it starts, the engine unpacks into its volumes what nodes are given. While it runs it sends what they write.
It outlives the nodes and any supervisor; started again, it sends again what has changed since the nodes were started.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time

from trainstack.docker_engine.engine_api import DockerClient, engine_errors
from trainstack.errors import TrainstackError
from trainstack.targets.base import RunRef
from trainstack.targets.docker import container_config, labels
from trainstack.targets.docker.stream import ContainerOutput
from trainstack.targets.transfer import archive
from trainstack.targets.transfer.output_receiver import OutputReceiver

_FIRST_SECONDS = 0.4
_AGAIN_SECONDS = 2.0
_ASK_SECONDS = 0.1
# Enough for a large last checkpoint on a slow line: as long as bytes arrive, the sidecar is waited for.
_SILENCE_SECONDS = 60.0


class Sidecar:
    """The sidecar of a run, and the thread that receives what it sends."""

    def __init__(self, client: DockerClient, ref: RunRef, container_id: str) -> None:
        """Work with a container that has been created."""
        self._client = client
        self._inbound = OutputReceiver(ref.root)
        self._ref = ref
        self._id = container_id
        self._ending = threading.Event()
        self._complete = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._errors = b""
        self._output: ContainerOutput | None = None

    def hand_over(self) -> None:
        """Put into the volumes what nodes only read, and what earlier attempts have left.

        Raises:
            TrainstackError: The engine refuses, or its disk is full.
        """
        with engine_errors("handing over code and data"):
            api = self._client.api
            api.put_archive(
                self._id,
                str(container_config.INPUTS),
                archive.read_only_stream(self._ref, container_config.LAYOUT, container_config.USER),
            )
            api.put_archive(
                self._id, str(container_config.WRITABLE), archive.written_stream(self._ref, container_config.USER)
            )

    def start(self) -> None:
        """Begin to receive what nodes write."""
        self._thread = threading.Thread(target=self._follow, daemon=True, name="sidecar")
        self._thread.start()

    def note_working(self) -> None:
        """Note at the engine that all nodes are on their way, so that another process may take them over."""
        self._client.api.rename(self._id, f"{labels.prefix(self._ref)}-{labels.WORKING}")

    def finish(self) -> None:
        """Wait until all outputs are received. Nothing writes any more.

        Raises:
            TrainstackError: Something is missing.
        """
        self._ending.set()
        if self._thread is None:
            self.start()
        thread = self._thread
        begun = time.monotonic()
        while thread and thread.is_alive():
            self._ask_for_the_end()
            thread.join(_ASK_SECONDS)
            if self._output and time.monotonic() - max(begun, self._output.heard) > _SILENCE_SECONDS:
                self._output.close()
        if not self._complete:
            if isinstance(self._error, TrainstackError):
                raise self._error
            lines = self._errors.decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else (str(self._error) if self._error else "the stream was cut off")
            raise TrainstackError(
                f"what run {self._ref.id} wrote on the Docker engine is not all received ({reason}): it stays there, "
                "and the next `pulumi up` fetches it"
            )
        if self._inbound.refused:
            print(f"refused outputs: {', '.join(self._inbound.refused[:20])}", file=sys.stderr)
        with engine_errors("noting that all outputs are received"):
            self._client.api.rename(self._id, f"{labels.prefix(self._ref)}-{labels.SETTLED}")

    def _follow(self) -> None:
        """Take in the stream; when it breaks, begin again, and once more after the end was asked for."""
        # The nodes' agents come first: they need this moment to themselves, and have nothing to send yet.
        self._ending.wait(_FIRST_SECONDS)
        last_try = False
        while not self._complete and not last_try:
            last_try = self._ending.is_set()
            try:
                self._complete = self._receive()
                self._error = None
            except Exception as exc:  # noqa: BLE001 (a thread must not end without a word; `finish` raises it)
                self._error = exc
            if not self._complete and not last_try:
                self._ending.wait(_AGAIN_SECONDS)

    def _receive(self) -> bool:
        api = self._client.api
        with contextlib.suppress(Exception):
            # One that still runs has lost its listener, and with it what it sent last.
            api.kill(self._id, "SIGKILL")
            api.wait(self._id)
        output = self._output = ContainerOutput(self._client, self._id)
        try:
            api.start(self._id)
            return self._inbound.receive(output)
        finally:
            self._errors = output.errors
            output.close()

    def _ask_for_the_end(self) -> None:
        with contextlib.suppress(Exception):
            self._client.api.kill(self._id, "SIGTERM")
