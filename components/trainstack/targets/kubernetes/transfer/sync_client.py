"""Fetches the outputs of one node: a sender in the pod's sidecar, and a thread that receives what it sends."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from trainstack.errors import TrainstackError
from trainstack.targets.base import RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.exec import Exec, run, script
from trainstack.targets.kubernetes.node import KubernetesNode
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.transfer.file_transfer import FileTransfer
from trainstack.targets.transfer.output_receiver import OutputReceiver

_AGAIN_SECONDS = 2.0
_ASK_SECONDS = 0.5
# As long as bytes arrive, the sender is waited for.
_SILENCE_SECONDS = 60.0


class SyncClient:
    """The transfer of files between a run's directory and one pod."""

    def __init__(
        self,
        api: KubernetesApi,
        ref: RunRef,
        node: KubernetesNode,
        applied: Callable[[str], None],
        transfer: FileTransfer,
    ) -> None:
        """Work with the pod of `node`.

        Args:
            api: The cluster.
            ref: The run.
            node: Whose pod.
            applied: Called with the name of each fetched file.
            transfer: How files are transferred.
        """
        self._api = api
        self._ref = ref
        self._node = node
        self._transfer = transfer
        self._inbound = OutputReceiver(ref.root, applied)
        self._ending = threading.Event()
        self._closed = threading.Event()
        self._synced = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._link: Exec | None = None

    def hand_over(self) -> None:
        """Give the pod what its node reads and goes on writing.

        Raises:
            TrainstackError: The cluster refuses, or the pod's disk is full.
        """
        self._transfer.hand_over(self.run_in_sidecar)

    @property
    def cut_off(self) -> bool:
        """Whether its pod was lost with outputs that may not be fetched."""
        return self._node.lost and not self._synced

    def start(self) -> None:
        """Begin to fetch the node's outputs."""
        self._thread = threading.Thread(target=self._follow, daemon=True, name="carry")
        self._thread.start()

    def finish(self) -> None:
        """Wait until all outputs are fetched. The node writes no more.

        Raises:
            TrainstackError: Some are not.
        """
        self._ending.set()
        if self._thread is None:
            self.start()
        began = time.monotonic()
        while self._thread and self._thread.is_alive():
            self._tell(b"l")
            self._thread.join(_ASK_SECONDS)
            link = self._link
            if link and time.monotonic() - max(began, link.last_received) > _SILENCE_SECONDS:
                link.close()
        if self._inbound.refused:
            print(f"not fetched: {', '.join(self._inbound.refused[:20])}", file=sys.stderr)
        if self._synced or self._node.lost:
            return
        if isinstance(self._error, TrainstackError):
            raise self._error
        reason = self._error or (self._link.error_message() if self._link else "") or "the stream was cut off"
        raise TrainstackError(
            f"what run {self._ref.id} wrote in pod {self._node.pod} is not all fetched ({reason}): it stays there, and "
            "the next `pulumi up` fetches it"
        )

    def let_go(self) -> None:
        """Tell the pod that it may go."""
        self._tell(b"h")
        self._closed.set()
        if self._link:
            # It ends by itself when it has heard.
            deadline = threading.Timer(_AGAIN_SECONDS, self._link.close)
            deadline.start()
            while self._link.read(1):
                pass
            deadline.cancel()
            self._link.close()

    def run_in_sidecar(self, program: str, arguments: Sequence[str], stdin: Iterable[bytes]) -> str:
        """Run a program of `in_pod` in the pod's sidecar; gives what it says.

        Raises:
            TrainstackError: It ended badly, or the connection broke.
        """
        command = [self._node.python, "-c", script(program), *arguments]
        return run(self._api, self._node.pod, labels.SIDECAR, command, stdin)

    def _tell(self, word: bytes) -> None:
        if self._link:
            with contextlib.suppress(TrainstackError):
                self._link.write(word)

    def _follow(self) -> None:
        """Take in the stream; when it breaks, begin again, and once more after the end was asked for."""
        last_try = False
        while not self._synced and not last_try and not self._node.lost:
            # A pod that is being deleted may have ended before the cluster says so: then it is lost in a moment.
            last_try = self._ending.is_set() and not self._node.leaving
            try:
                self._synced = self._receive()
                self._error = None
            except Exception as exc:  # noqa: BLE001 (a thread must not end without a word; `finish` raises it)
                self._error = exc
            if not self._synced and not last_try:
                self._closed.wait(_ASK_SECONDS) if self._ending.is_set() else self._ending.wait(_AGAIN_SECONDS)

    def _receive(self) -> bool:
        if self._link:
            self._link.close()
        command = [self._node.python, "-c", script("sync_out"), str(run_objects.WRITABLE), run_objects.CONTROL]
        self._link = Exec(self._api, self._node.pod, labels.SIDECAR, [*command, *self._transfer.sender])
        return self._inbound.receive(self._transfer.stream(self._link))
