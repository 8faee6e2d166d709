"""The build context of a user's Dockerfile: its files by `.dockerignore`, their digests, and the archive to build from.

What is digested is what is sent: the engine gets an archive of these very files, and one that has changed meanwhile
is noticed.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trainstack.core.workspace.folder_size import check_size
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.digest import DigestCache
from trainstack.storage.paths import is_below

LIMIT_BYTES = 300 * 1024 * 1024
_EXECUTABLE = "+x "
_LINK = "link to "
_FOLDER = "empty folder"


@dataclass(frozen=True)
class BuildContext:
    """A Dockerfile and what may be copied into its image, at one moment.

    Attributes:
        dockerfile: The Dockerfile's text.
        folder: The context's folder.
        files: Relative POSIX path to hex SHA-256 (after `+x ` for programs), or where a link leads.
    """

    dockerfile: bytes
    folder: Path
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the Dockerfile and all files, wherever they lie."""
        return digests.of_json({"dockerfile": digests.of_bytes(self.dockerfile), "files": self.files})

    def archive(self) -> IO[bytes]:
        """Pack the files, each checked against its digest on the way.

        Raises:
            TrainstackError: A file has changed or gone since it was digested.
        """
        packed = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, entry in self.files.items():
                self._add(tar, name, entry)
        packed.seek(0)
        return packed

    def _add(self, tar: tarfile.TarFile, name: str, entry: str) -> None:
        member = tarfile.TarInfo(name)
        member.mode = 0o755 if entry.startswith(_EXECUTABLE) else 0o644
        if entry.startswith(_LINK):
            member.type, member.linkname = tarfile.SYMTYPE, entry.removeprefix(_LINK)
            tar.addfile(member)
            return
        if entry == _FOLDER:
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
            return
        try:
            content = (self.folder / name).read_bytes()
        except OSError as exc:
            raise TrainstackError(f"{name} cannot be read while the image is built: {exc.strerror}") from exc
        if digests.of_bytes(content) != entry.removeprefix(_EXECUTABLE):
            raise TrainstackError(f"{name} changed while its image was being built: run `pulumi up` again")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def read_context(dockerfile: Path, folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> BuildContext:
    """Digest a Dockerfile and its context, less what `.dockerignore` names.

    `NAME.dockerignore` beside the Dockerfile goes before `.dockerignore` in the context, as with BuildKit.

    Args:
        dockerfile: The Dockerfile, in the context or not.
        folder: The context.
        limit_bytes: The largest sum of file sizes to accept.

    Raises:
        InvalidInputError: One of them is missing, a link leaves the context, or it is too large.
    """
    try:
        text = dockerfile.read_bytes()
    except OSError as exc:
        raise InvalidInputError(
            f"dockerfile {str(dockerfile)!r} cannot be read ({exc.strerror}): check its path", field="dockerfile"
        ) from exc
    if not text.strip():
        raise InvalidInputError(f"dockerfile {str(dockerfile)!r} is empty: begin it with FROM", field="dockerfile")
    if not folder.is_dir():
        raise InvalidInputError(
            f"context {str(folder)!r} is not a folder: name the one that COPY is to read from", field="context"
        )
    root = os.path.realpath(folder)
    files: list[str] = []
    entries: dict[str, str] = {}
    size = 0
    for name in _names(dockerfile, folder):
        path = folder / name
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            entries[name] = f"{_LINK}{_checked_link(root, folder, name)}"
        elif stat.S_ISREG(mode):
            files.append(name)
            size += path.stat().st_size
        elif stat.S_ISDIR(mode) and not any(path.iterdir()):
            entries[name] = _FOLDER
    check_size("context", folder, files, size, limit_bytes, "list what the image does not need in .dockerignore")
    cache = DigestCache.of_folder("context", folder)
    for name, digest in cache.digests(folder, files).items():
        executable = (folder / name).stat().st_mode & stat.S_IXUSR
        entries[name] = f"{_EXECUTABLE if executable else ''}{digest}"
    return BuildContext(text, folder, dict(sorted(entries.items())))


def _names(dockerfile: Path, folder: Path) -> list[str]:
    from docker.utils.build import PatternMatcher

    lines: list[str] = []
    for rules in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), folder / ".dockerignore"):
        if rules.is_file():
            lines = rules.read_text("utf-8", errors="replace").splitlines()
            break
    patterns = [bare for line in lines if (bare := line.strip()) and not bare.startswith("#")]
    return sorted(PatternMatcher(patterns).walk(str(folder)))


def _checked_link(root: str, folder: Path, name: str) -> str:
    target = os.readlink(folder / name)  # noqa: PTH115 (a Path would normalise what the image is to hold)
    real = os.path.realpath(folder / name)
    if not is_below(root, real):
        raise InvalidInputError(
            f"{name} in context {str(folder)!r} is a link that leaves it: copy the file in, or list the link in "
            ".dockerignore",
            field="context",
        )
    return target


def unpack(packed: IO[bytes], folder: Path) -> None:
    """Lay an archived context out in an empty folder."""
    with tarfile.open(fileobj=packed) as tar:
        tar.extractall(folder, filter="data")
