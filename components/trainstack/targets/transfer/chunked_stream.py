"""The other end of the agent's `chunked_stream`: frames from a node and segments from the store, as one stream."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from trainstack.agent.transfer.chunked_stream import ASK, HEADER_BYTES, INLINE
from trainstack.storage.object_store.presigned import PresignedStore
from trainstack.targets.transfer.output_receiver import Source


class ChunkedStream:
    """A stream to read from."""

    def __init__(self, frames: Source, answer: Callable[[bytes], None], store: PresignedStore, folder: str) -> None:
        """Put a stream together.

        Args:
            frames: What the node sends.
            answer: Tells the node something.
            store: Where segments are.
            folder: Folder of the store for them.
        """
        self._frames = frames
        self._answer = answer
        self._store = store
        self._folder = folder
        self._asked = ""
        self._pieces = self._all()
        self._pending = b""

    def read(self, size: int = -1, /) -> bytes:
        """Wait for some bytes; none at the end.

        Raises:
            TrainstackError: A segment cannot be fetched.
        """
        while not self._pending:
            try:
                self._pending = next(self._pieces)
            except StopIteration:
                return b""
        data = self._pending if size < 0 else self._pending[:size]
        self._pending = self._pending[len(data) :]
        return data

    def _all(self) -> Iterator[bytes]:
        while len(head := b"".join(self._exactly(HEADER_BYTES))) == HEADER_BYTES:
            letter, length = head[:1], int.from_bytes(head[1:], "big")
            if letter == INLINE:
                yield from self._exactly(length)
            elif letter == ASK:
                self._asked = f"{self._folder}/{secrets.token_hex(12)}"
                self._answer(b"u" + self._store.write_url(self._asked).encode() + b"\n")
            else:
                yield from self._store.read(self._asked)
                self._store.discard(self._asked)

    def _exactly(self, size: int) -> Iterator[bytes]:
        """So many bytes, fewer when the connection breaks."""
        while size and (data := self._frames.read(size)):
            size -= len(data)
            yield data
