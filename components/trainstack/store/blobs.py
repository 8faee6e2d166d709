"""Content-addressed files: `sha256/ab/abcdef…`, each written once, read-only, handed out by hard link."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from trainstack.errors import DigestMismatchError, NotFoundError
from trainstack.store import digest as digests
from trainstack.store.atomic import disk_errors


class BlobStore:
    """Blobs under one folder. Every file in it is named by its own SHA-256, so writing twice is harmless."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where the blob of a hex SHA-256 is, or would be."""
        return self.root / "sha256" / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether the blob is there (its bytes are not read)."""
        return self.path(digest).is_file()

    def partial(self, name: str) -> Path:
        """A place for a file that is still being written, on the same file system; kept between tries."""
        folder = self.root / "partial"
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def adopt(self, source: Path, digest: str) -> Path:
        """Move a finished file into the store under the digest that its writer computed.

        The file is made read-only and fsynced before its name appears.
        """
        target = self.path(digest)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_file():
                source.unlink()
                return target
            source.chmod(0o444)
            with source.open("rb") as file:
                os.fsync(file.fileno())
            source.replace(target)
        return target

    def add(self, source: Path, *, expected: str | None = None) -> str:
        """Copy a file into the store.

        Args:
            source: The file; it stays where it is.
            expected: Its hex SHA-256, where one is promised.

        Returns:
            The hex SHA-256 of its bytes.

        Raises:
            DigestMismatchError: The bytes are not the promised ones.
        """
        aside = self.partial(f"{secrets.token_hex(8)}.add")
        with disk_errors(aside):
            shutil.copyfile(source, aside)
        digest = digests.of_file(aside)
        if expected is not None and digest != expected:
            aside.unlink()
            raise DigestMismatchError(f"{source} has SHA-256 {digest}, not {expected}: the file changed")
        self.adopt(aside, digest)
        return digest

    def link(self, digest: str, target: Path) -> None:
        """Hand a blob out as a hard link at `target`; a copy where the file systems differ.

        Raises:
            NotFoundError: The store does not hold the blob.
        """
        source = self.path(digest)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(source, target)
            except FileNotFoundError as exc:
                raise NotFoundError(f"blob {digest} is gone from {self.root}: register its dataset again") from exc
            except OSError:
                shutil.copyfile(source, target)
                target.chmod(0o444)

    def verify(self, digest: str) -> bool:
        """Read the blob and tell whether its bytes are those of its name."""
        return self.has(digest) and digests.of_file(self.path(digest)) == digest

    def __iter__(self) -> Iterator[str]:
        for path in (self.root / "sha256").glob("??/*"):
            yield path.name
