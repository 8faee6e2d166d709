"""Read everything that a workspace keeps and compare it with its digests.

It changes one thing only: a damaged blob loses the seal that lets others trust it unread, so that the next refresh
sees the damage and the next registration replaces it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainstack.core.datasets import dataset_record
from trainstack.core.datasets.dataset_record import DatasetRecord
from trainstack.core.datasets.in_place.manifest import digest_of
from trainstack.core.datasets.spec import version_digest
from trainstack.core.maintenance import references
from trainstack.core.models.model_record import ModelRecord
from trainstack.core.runs.events import record_from_events
from trainstack.core.runs.record import RunRecord
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage import disk_space, locks

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Damage:
    """A file that is not what it was.

    Attributes:
        kind: `blob`, `dataset`, `model`, `run` or `record`.
        name: What it belongs to, in messages.
        path: The file.
        problem: What is wrong with it: `changed`, `gone`, `added` or a sentence.
        advice: What to do about it.
    """

    kind: str
    name: str
    path: Path
    problem: str
    advice: str


@dataclass(frozen=True)
class Verified:
    """The result of a verification.

    Attributes:
        files: How many files were checked.
        size: Bytes that were read; a file with several hard links is read once.
        damages: The damages.
    """

    files: int
    size: int
    damages: list[Damage]


def verify(workspace: Workspace, progress: Progress = lambda _done, _all: None) -> Verified:
    """Check blobs, models, datasets and the outputs and code of runs; nothing is removed meanwhile.

    Args:
        workspace: The workspace.
        progress: Called after each file, with the bytes read so far and in all.

    Returns:
        The result.
    """
    with locks.shared(workspace.records_lock):
        return _Verification(workspace, progress).everything()


class _Verification:
    """One verification: what it has read so far, and which blobs are damaged."""

    def __init__(self, workspace: Workspace, progress: Progress) -> None:
        self._workspace = workspace
        self._progress = progress
        self._read: dict[tuple[int, int], str] = {}
        self._size = self._total = self._files = 0
        self._bad: set[str] = set()

    def everything(self) -> Verified:
        """Check the blobs first, because the records point to them."""
        names = list(self._workspace.blobs)
        records = list(references.models(self._workspace))
        runs = list(references.run_records(self._workspace))
        self._total = self._expected(names, records, runs)
        damages = [*self._blobs(names)]
        for path, dataset in references.datasets(self._workspace):
            damages += self._dataset(path, dataset)
        for path, model in records:
            damages += self._model(path, model)
        for path, run in runs:
            damages += self._outputs(path, run)
        for path, request in references.requests(self._workspace):
            damages += self._code(path, request)
        return Verified(self._files, self._size, damages)

    def _expected(
        self,
        names: list[str],
        models: list[tuple[Path, ModelRecord | TrainstackError]],
        runs: list[tuple[Path, RunRecord | TrainstackError]],
    ) -> int:
        """Bytes to read: by inode, because models and blobs are mostly the same files."""
        files = [self._workspace.blobs.path(name) for name in names]
        for _, model in models:
            if isinstance(model, ModelRecord):
                files += disk_space.files_below(Path(model.path))
        for path, run in runs:
            if isinstance(run, RunRecord):
                files += [path.parent / "outputs" / name for name in run.outputs]
        sizes: dict[tuple[int, int], int] = {}
        for file in files:
            with contextlib.suppress(OSError):
                status = file.stat()
                sizes[status.st_dev, status.st_ino] = status.st_size
        return sum(sizes.values())

    def _digest(self, path: Path) -> str:
        """The digest of a file, read once for all its links; empty when it is gone."""
        try:
            status = path.stat()
            inode = (status.st_dev, status.st_ino)
            if inode not in self._read:
                self._read[inode] = digests.of_file(path)
                self._size += status.st_size
        except FileNotFoundError:
            return ""
        except OSError:
            # An unreadable sector or mode: as good as other bytes.
            return "unreadable"
        self._files += 1
        self._progress(self._size, self._total)
        return self._read[inode]

    def _blobs(self, names: list[str]) -> Iterator[Damage]:
        store = self._workspace.blobs
        for name in names:
            if self._digest(store.path(name)) == name:
                continue
            self._bad.add(name)
            store.distrust(name)
            advice = "see below for what it belongs to; nothing below: `trainstack gc --delete` removes it"
            yield Damage("blob", name, store.path(name), "changed", advice)

    def _whole(self, digest: str) -> bool:
        return digest not in self._bad and self._workspace.blobs.path(digest).is_file()

    def _dataset(self, path: Path, record: DatasetRecord | TrainstackError) -> Iterator[Damage]:
        if isinstance(record, TrainstackError):
            yield _damaged_record(path, record)
            return
        name = f"{record.name} version {record.version}"
        lists = record.objects.shards if record.objects else ()
        for number, digest in enumerate(lists, 1):
            if not self._whole(digest):
                problem = "changed" if digest in self._bad else "gone"
                advice = "`pulumi refresh`, then `pulumi up`, lists its objects again"
                blob = self._workspace.blobs.path(digest)
                yield Damage("dataset", f"{name}: list of objects {number}", blob, problem, advice)
        whole = all(self._whole(digest) for digest in lists)
        if whole and record.digest != self._dataset_digest(record):
            yield Damage("dataset", name, path, "its digest is not that of its files", "move it away, run `pulumi up`")
        for file in record.files:
            if not self._whole(file.sha256):
                problem = "changed" if file.sha256 in self._bad else "gone"
                advice = f"`pulumi refresh`, then `pulumi up`, fetches it again from {file.source}"
                yield Damage(
                    "dataset", f"{name}: {file.path}", self._workspace.blobs.path(file.sha256), problem, advice
                )

    def _dataset_digest(self, record: DatasetRecord) -> str:
        objects = digest_of(dataset_record.object_files(self._workspace, record)) if record.objects else None
        return version_digest({file.path: file.sha256 for file in record.files}, objects)

    def _model(self, path: Path, record: ModelRecord | TrainstackError) -> Iterator[Damage]:
        if isinstance(record, TrainstackError):
            yield _damaged_record(path, record)
            return
        name = f"{record.name} version {record.version}"
        root = Path(record.path)
        if record.digest != digests.of_tree(record.files):
            yield Damage("model", name, path, "its digest is not that of its files", "restore it from a copy")
        for relative, digest in record.files.items():
            actual = self._digest(root / relative)
            if actual != digest:
                problem = "changed" if actual else "gone"
                if self._whole(digest) or self._run_has(record, digest):
                    advice = "`pulumi refresh`, then `pulumi up`, puts it back"
                else:
                    advice = (
                        "no whole copy is left: restore it from a copy of the workspace, or "
                        f"`trainstack purge --model {record.name}:{record.version}` and register it from its source"
                    )
                yield Damage("model", f"{name}: {relative}", root / relative, problem, advice)
        for extra in disk_space.files_below(root) if root.is_dir() else []:
            if extra.relative_to(root).as_posix() not in record.files:
                advice = "delete it, or `pulumi refresh`, then `pulumi up`"
                yield Damage("model", f"{name}: {extra.relative_to(root)}", extra, "added", advice)

    def _run_has(self, record: ModelRecord, digest: str) -> bool:
        """Return whether the run that made a model still has a file of it."""
        if record.run_id is None:
            return False
        for path, run in references.run_records(self._workspace):
            if isinstance(run, RunRecord) and run.id == record.run_id:
                outputs = path.parent / "outputs"
                names = [name for name, expected in run.outputs.items() if expected == digest]
                return any(self._digest(outputs / name) == digest for name in names)
        return False

    def _outputs(self, path: Path, record: RunRecord | TrainstackError) -> Iterator[Damage]:
        if isinstance(record, TrainstackError):
            yield _damaged_record(path, record)
            record = record_from_events(path.parent) or record
        if isinstance(record, TrainstackError):
            return
        for name, digest in record.outputs.items():
            file = path.parent / "outputs" / name
            actual = self._digest(file)
            if actual != digest:
                advice = "change the run's `trigger` to train it again: no whole copy is left"
                if self._whole(digest):
                    first = "delete it, then " if actual else ""
                    advice = f"{first}`pulumi refresh` and `pulumi up` put it back"
                yield Damage(
                    "run", f"{record.name} ({record.id}): outputs/{name}", file, "changed" if actual else "gone", advice
                )

    def _code(self, path: Path, request: RunRequest | TrainstackError) -> Iterator[Damage]:
        if isinstance(request, TrainstackError):
            yield _damaged_record(path, request)
            return
        for name, digest in request.spec.files.items():
            if not self._whole(digest):
                problem = "changed" if digest in self._bad else "gone"
                advice = "its outputs are not touched; the next attempt stores the code again"
                blob = self._workspace.blobs.path(digest)
                yield Damage("run", f"{request.name} ({path.parent.name}): code/{name}", blob, problem, advice)


def _damaged_record(path: Path, error: TrainstackError) -> Damage:
    problem, _, advice = str(error).removeprefix(f"{path} ").partition(": ")
    return Damage("record", path.parent.name, path, problem, advice)
