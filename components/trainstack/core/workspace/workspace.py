"""A workspace: the folder that holds datasets, runs, models and services. Its layout is `docs/workspace.md`."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from trainstack.core.workspace.layout import MARKER
from trainstack.core.workspace.marker import Marker
from trainstack.core.workspace.origin import blob_origin
from trainstack.core.workspace.ownership import check_owner
from trainstack.core.workspace.workspace_quota import quota_of
from trainstack.errors import InvalidInputError, WorkspaceNotFoundError
from trainstack.storage.atomic import read_json, write_bytes_once, write_json
from trainstack.storage.blobs import BlobStore
from trainstack.storage.digest import DigestCache
from trainstack.storage.file_names import is_utf8, printable

_ID = re.compile(r"[0-9a-f]{8}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check_root(root: Path) -> None:
    """Refuse a folder whose path is not UTF-8: records, state and addresses hold text.

    Raises:
        InvalidInputError: It is not.
    """
    if not is_utf8(str(root.absolute())):
        raise InvalidInputError(
            f"the path {printable(str(root.absolute()))} is not UTF-8, and a workspace's records hold text: rename the "
            "folder, or put the workspace elsewhere with root=",
            field="root",
        )


def checked_name(name: str, kind: str) -> str:
    """Return `name` when it can be a folder and a part of an address.

    Raises:
        InvalidInputError: It is empty, too long, or has other characters than letters, digits, `.`, `_`, `-`.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{kind} name {name!r} is not usable: take up to 63 letters, digits, '.', '_' or '-', "
            "the first a letter or digit",
            field="name",
        )
    return name


@dataclass(frozen=True)
class Workspace:
    """An open workspace.

    Attributes:
        root: Its folder.
        name: The name it was created with.
        quota: How many bytes it may hold; None for no limit.
    """

    root: Path
    name: str
    quota: int | None = None

    @classmethod
    def create(cls, root: Path, name: str, workspace_id: str | None = None) -> Workspace:
        """Open the workspace at `root`, or create it.

        Args:
            root: Its folder.
            name: Its name.
            workspace_id: The id of a new one; drawn by lot when left out.

        Raises:
            InvalidInputError: The folder's path is not UTF-8.
            TrainstackError: The folder holds a workspace of another name or a newer layout, or is not writable.
        """
        checked_name(name, "workspace")
        check_root(root)
        marker = root / MARKER
        if marker.is_file():
            return cls.open(root).require_name(name)
        if workspace_id is not None:
            if not _ID.fullmatch(workspace_id):
                raise InvalidInputError(f"{workspace_id!r} is no workspace's id: take 8 hexadecimal digits", field="id")
            write_bytes_once(root / "id", f"{workspace_id}\n".encode())
        write_json(marker, Marker(name).document)
        return cls(root, name)

    def require_name(self, name: str) -> Workspace:
        """Return this workspace when it has a name.

        Raises:
            InvalidInputError: It has another one.
        """
        if self.name != name:
            raise InvalidInputError(
                f"{self.root} is the workspace {self.name!r}, not {name!r}: choose another root or that name",
                field="root",
            )
        return self

    def limited(self, quota: int | None) -> Workspace:
        """Return this workspace with its quota set, or lifted, for everyone who uses it."""
        write_json(self.root / MARKER, Marker(self.name, quota).document)
        return replace(self, quota=quota)

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open an existing workspace.

        Raises:
            InvalidInputError: The folder's path is not UTF-8.
            WorkspaceNotFoundError: There is no workspace at `root`.
            TrainstackError: It was made by a newer Trainstack, or belongs to another user.
        """
        check_root(root)
        try:
            document = read_json(root / MARKER)
        except FileNotFoundError as exc:
            raise WorkspaceNotFoundError(
                f"no workspace at {root}: run `pulumi up`, or name one with --workspace"
            ) from exc
        for owned in (root, root / MARKER):
            check_owner(owned, root)
        marker = Marker.parsed(document, root)
        return cls(root, marker.name, marker.quota)

    @property
    def id(self) -> str:
        """Distinguishes this workspace from others on the same engine or cluster; created by the first use."""
        path = self.root / "id"
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            write_bytes_once(path, f"{secrets.token_hex(4)}\n".encode())
            return path.read_text(encoding="ascii").strip()

    @property
    def blobs(self) -> BlobStore:
        """The content-addressed files of all datasets and models."""
        quota = None if self.quota is None else quota_of(self.root, self.quota)
        return BlobStore(self.root / "blobs", quota, blob_origin(self.root))

    @property
    def records_lock(self) -> Path:
        """Lock that writers share from the first blob to its record, and that removals hold exclusively."""
        return self.root / "records.lock"

    @property
    def trash(self) -> Path:
        """Folder for what is being removed: moved here at once, and then deleted."""
        return self.root / "trash"

    @property
    def digest_cache(self) -> DigestCache:
        """Digests of local files, remembered between calls."""
        return DigestCache(self.root / "cache" / "digests.json")

    def dataset(self, name: str) -> Path:
        """Folder with one `VERSION.json` a registered version."""
        return self.root / "datasets" / name

    @property
    def runs(self) -> Path:
        """Folder with one run directory a run, named by the run's id."""
        return self.root / "runs"

    def run(self, run_id: str) -> Path:
        """A run's directory."""
        return self.runs / run_id

    def model(self, name: str) -> Path:
        """Folder with one folder a registered version."""
        return self.root / "models" / name

    def service(self, name: str) -> Path:
        """Folder of a web service: its record and log."""
        return self.root / "services" / name

    @property
    def history(self) -> Path:
        """Folder of the tracking server: its database, its artifacts, and what is still to be mirrored."""
        return self.root / "history"

    def sweep(self, sweep_id: str) -> Path:
        """A sweep's directory."""
        return self.root / "sweeps" / sweep_id

    def compute(self, name: str) -> Path:
        """Folder of a compute: its record and slots."""
        return self.root / "computes" / name
