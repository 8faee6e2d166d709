"""Send a stream to the supervisor in segments, the large ones through an object store.

A frame is one letter, the number of bytes that follow as eight bytes, and these bytes. `i`: a piece of the stream. `?`:
requests an address to put a segment to; the answer comes over another channel. `p`: the segment has been put there.
Where a store does not take a segment it goes as pieces: slower, and nothing is lost.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import urllib.request

INLINE, ASK, PUT = b"i", b"?", b"p"
"""The letters of frames."""
HEADER_BYTES = 9
SEGMENT_BYTES = 16 << 20
"""The largest segment; the memory of the process that sends holds it."""
_LEAST_BYTES = 1 << 20
_IDLE_SECONDS = 0.05
_ANSWER_SECONDS = 30.0
_PUT_SECONDS = 45.0


def header(letter: bytes, size: int) -> bytes:
    """Return the header of a frame."""
    return letter + size.to_bytes(8, "big")


class ChunkedStdout:
    """Replaces standard output; what is written there leaves in frames."""

    def __init__(self, addresses: queue.Queue[str]) -> None:
        """Redirect standard output.

        Args:
            addresses: The addresses that `?` frames request.
        """
        self._addresses = addresses
        self._out = os.dup(1)
        self._source, sink = os.pipe()
        os.dup2(sink, 1)
        os.close(sink)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait until everything is sent, and restore standard output."""
        os.dup2(self._out, 1)
        self._thread.join()

    def _run(self) -> None:
        try:
            while segment := self._gather():
                if len(segment) < _LEAST_BYTES or not self._put(segment):
                    self._write(header(INLINE, len(segment)) + segment)
        except OSError:
            # Nothing reads the stream: the next write is to fail.
            os.close(self._source)

    def _gather(self) -> bytes:
        """Read what comes without a pause, up to a segment; empty at the end."""
        segment = bytearray(os.read(self._source, 1 << 20))
        while segment and len(segment) < SEGMENT_BYTES and select.select([self._source], [], [], _IDLE_SECONDS)[0]:
            more = os.read(self._source, min(1 << 20, SEGMENT_BYTES - len(segment)))
            if not more:
                break
            segment += more
        return bytes(segment)

    def _put(self, segment: bytes) -> bool:
        self._write(header(ASK, 0))
        try:
            address = self._addresses.get(timeout=_ANSWER_SECONDS)
            request = urllib.request.Request(address, data=segment, method="PUT")  # noqa: S310 (our own supervisor's)
            with urllib.request.urlopen(request, timeout=_PUT_SECONDS):  # noqa: S310
                pass
        except (queue.Empty, OSError, ValueError):
            return False
        self._write(header(PUT, 0))
        return True

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view) :]
