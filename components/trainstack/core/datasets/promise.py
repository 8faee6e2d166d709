"""What a program promises of a dataset's file: its digest, or how it begins. Other bytes are refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainstack.storage.blobs import BlobStore


@dataclass(frozen=True)
class Promise:
    """What a file must be.

    Attributes:
        sha256: Its hex SHA-256, in lower case; none where any content will do.
        magic: Its first bytes, the magic number of its format; empty where any will do.
    """

    sha256: str | None = None
    magic: bytes = b""

    def broken_digest(self, digest: str) -> str:
        """Say how a digest is not the promised one; nothing where it is."""
        return "" if self.sha256 in (None, digest) else f"has SHA-256 {digest}, not the promised {self.sha256}"

    def broken_beginning(self, path: Path) -> str:
        """Say how a file does not begin as promised; nothing where it does.

        Raises:
            OSError: It cannot be read.
        """
        if not self.magic:
            return ""
        with path.open("rb") as file:
            beginning = file.read(len(self.magic))
        return "" if beginning == self.magic else f"begins with {_bytes(beginning)}, not with {_bytes(self.magic)}"

    def is_kept(self, blobs: BlobStore, digest: str) -> bool:
        """Whether the workspace has the content of this digest, and it is what is promised."""
        if self.sha256 not in (None, digest) or not blobs.available(digest):
            return False
        if self.magic:
            blobs.obtain([digest])
        return not self.broken_beginning(blobs.path(digest))


def _bytes(data: bytes) -> str:
    return data.hex(" ") or "nothing"
