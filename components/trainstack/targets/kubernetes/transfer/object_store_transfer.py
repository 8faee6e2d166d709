"""A run's part of the workspace's object store: inputs of its pods, and outputs that pass through it.

Content lies in the store by its digest, once for all runs and pods. Pods get addresses that are signed for an hour, by
an exec's standard input: no object of the cluster and no variable of a script holds anything that opens the store.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence

from trainstack.storage.object_store.presigned import PresignedStore
from trainstack.targets.base import RunRef
from trainstack.targets.kubernetes.api.exec import Exec
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.transfer.file_transfer import FileTransfer, Pieces, RunInSidecar
from trainstack.targets.transfer import archive
from trainstack.targets.transfer.chunked_stream import ChunkedStream


class ObjectStoreTransfer(FileTransfer):
    """What a store has of a run."""

    sender = ("segments",)

    def __init__(self, store: PresignedStore, ref: RunRef) -> None:
        """Use `store` for the run."""
        self._store = store
        self._pieces = Pieces(ref)
        self._folder = f"runs/{ref.workspace}/{ref.id}"
        self._turn = threading.Lock()

    def hand_over(self, run_in_sidecar: RunInSidecar) -> None:
        """Tell a pod where to fetch it."""
        run_in_sidecar("fetch", [str(run_objects.INPUTS)], [self._line(lambda: self._pieces.inputs)])
        run_in_sidecar("fetch", [str(run_objects.WRITABLE)], [self._line(lambda: self._pieces.written)])

    def stream(self, link: Exec) -> ChunkedStream:
        """What comes by the link, and segments from the store."""
        return ChunkedStream(link, link.write, self._store, self._folder)

    def clear(self) -> None:
        """Remove segments that nobody has fetched."""
        self._store.remove(self._folder)

    def _line(self, pieces: Callable[[], Sequence[archive.Piece]]) -> bytes:
        # All pods of a run are given the same: it is read, and uploaded, once.
        with self._turn:
            addresses = [[self._store.put_content(piece.digest, piece.stream), piece.digest] for piece in pieces()]
        return json.dumps(addresses).encode() + b"\n"
