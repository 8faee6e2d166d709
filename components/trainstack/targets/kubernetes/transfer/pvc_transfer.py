"""A run's part of a claim that is a store: what its pods read lies there by digest, once for all runs and pods.

This machine cannot mount the claim, so inputs and outputs pass by exec all the same, inputs once. Outputs are on the
claim only when nobody fetches them: the sidecar writes a journal there (`in_pod/sidecar.py`), which outlives the pod
and is read here when the pod is lost. `claim.json` in the run's directory says that something of the run may be there.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path, PurePosixPath

from trainstack.errors import NotFoundError, TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import read_json, write_json
from trainstack.storage.path_address import file_address
from trainstack.targets.base import NodeGroupSpec, RunRef, Runtime
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.exec import Exec, run, script
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.node import KubernetesNode
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.transfer import reader_pod
from trainstack.targets.kubernetes.transfer.file_transfer import FileTransfer, Pieces, RunInSidecar
from trainstack.targets.transfer import archive
from trainstack.targets.transfer.output_receiver import OutputReceiver

CONTENT = run_objects.STORE / "content" / "sha256"
SMALL_BYTES = 64 << 10
"""A piece that is no larger is sent to each pod by exec."""


class PvcTransfer(FileTransfer):
    """What a claim has of a run."""

    def __init__(self, api: KubernetesApi, claim: str, ref: RunRef) -> None:
        """Use `claim` for the run."""
        self._api = api
        self._claim = claim
        self._ref = ref
        self._folder = run_objects.store_folder(ref)
        self._note = _note(ref)
        self._locks = ref.root.parent.parent / "locks"
        self._pieces = Pieces(ref)
        self._turn = threading.Lock()
        self._streamed = 0
        self._emptied = False
        self._group: Manifest = {}

    def begin(self, group: NodeGroupSpec) -> None:
        """Remember what the nodes run on, for whoever has to read the claim when they are gone."""
        runtime = {"python": group.runtime.python, "image": group.runtime.image}
        self._group = {"claim": self._claim, "attempt": group.attempt, **runtime}

    def hand_over(self, run_in_sidecar: RunInSidecar) -> None:
        """Give a pod the claim's content, with what is missing there brought first, and all that is small."""
        with self._turn:
            inputs, written = self._pieces.inputs, self._pieces.written
        self._hand_over(run_in_sidecar, CONTENT, inputs, run_objects.INPUTS)
        # From here on the claim may have something of this run alone.
        self._write_note()
        self._hand_over(run_in_sidecar, self._folder / "inputs", written, run_objects.WRITABLE)
        self._write_note()

    def stream(self, link: Exec) -> Exec:
        """The link itself."""
        return link

    @property
    def may_have_outputs(self) -> bool:
        """Whether it may have something."""
        return self._note.exists()

    def wait_synced(
        self, lost: Sequence[int] | None, living: KubernetesNode | None, applied: Callable[[str], None]
    ) -> None:
        """Fetch the journals of lost pods, and remove what the claim has of the run."""
        if lost != []:
            self._empty(lost, living, applied)
        elif living is not None:
            # What is left is not worth more than this: `clear` tries again.
            with contextlib.suppress(TrainstackError):
                self._empty([], living, applied)

    def release(self) -> None:
        """No sidecar can begin a journal any more."""
        if self._emptied:
            self._note.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what the claim has of the run; what a cluster without room leaves there goes the next time."""
        with contextlib.suppress(TrainstackError):
            self._empty([], None, lambda _: None)
        self.release()

    def _empty(self, lost: Sequence[int] | None, living: KubernetesNode | None, applied: Callable[[str], None]) -> None:
        if not self.may_have_outputs:
            return
        note: Manifest = read_json(self._note)
        try:
            with self._pod(living, note) as pod:
                self._inherit(pod, note, lost, applied)
                self._do(pod, note, "remove", self._folder)
        except NotFoundError as exc:
            print(f"what run {self._ref.id} left on claim {self._claim} has gone with it: {exc}", file=sys.stderr)
        self._emptied = True

    def _hand_over(
        self,
        run_in_sidecar: RunInSidecar,
        folder: PurePosixPath,
        pieces: Sequence[archive.Piece],
        target: PurePosixPath,
    ) -> None:
        large = [piece for piece in pieces if piece.size > SMALL_BYTES]
        line = json.dumps([[file_address(folder, piece.digest), piece.digest] for piece in large]).encode() + b"\n"
        for last in (False, True) if large else ():
            self._fill(run_in_sidecar, folder, large)
            try:
                run_in_sidecar("fetch", [str(target)], [line])
                break
            except TrainstackError:
                # What was damaged there is gone from there: a second time brings it anew.
                if last:
                    raise
        for piece in pieces:
            if piece.size <= SMALL_BYTES:
                run_in_sidecar("unpack", [str(target)], piece.stream())

    def _fill(self, run_in_sidecar: RunInSidecar, folder: PurePosixPath, pieces: Sequence[archive.Piece]) -> None:
        """Bring what is missing: one pod of the run at a time, and one run of the workspace at a time."""
        digests = [piece.digest for piece in pieces]
        # Who has nothing to bring waits for nobody.
        if not self._missing(run_in_sidecar, folder, digests):
            return
        with self._turn, contextlib.ExitStack() as stack:

            def still_missing() -> bool:
                # Nobody waits whose pod has gone, or for what has come meanwhile.
                return bool(self._missing(run_in_sidecar, folder, digests))

            for digest in sorted(digests):
                if not stack.enter_context(
                    locks.exclusive_while(self._locks / f"{self._claim}-{digest}", still_missing)
                ):
                    return
            missing = self._missing(run_in_sidecar, folder, digests)
            for piece in pieces:
                if piece.digest in missing:
                    arguments = [self._claim, "put", str(folder), piece.digest, str(piece.size)]
                    run_in_sidecar("pvc_store", arguments, piece.stream())
                    self._streamed += piece.size

    def _missing(self, run_in_sidecar: RunInSidecar, folder: PurePosixPath, digests: Sequence[str]) -> Sequence[str]:
        line = json.dumps(digests).encode() + b"\n"
        return json.loads(run_in_sidecar("pvc_store", [self._claim, "missing", str(folder)], [line]))

    def _write_note(self) -> None:
        with self._turn:
            write_json(self._note, {**self._group, "streamed_bytes": self._streamed})

    @contextlib.contextmanager
    def _pod(self, living: KubernetesNode | None, note: Manifest) -> Generator[str]:
        """One with the claim: a node's, or one made for it."""
        if living is not None:
            yield living.pod
            return
        runtime = Runtime(note["python"], note["image"])
        with reader_pod.pod(self._api, self._ref, runtime, self._claim) as name:
            yield name

    def _inherit(self, pod: str, note: Manifest, lost: Sequence[int] | None, applied: Callable[[str], None]) -> None:
        sizes: dict[str, int] = json.loads(self._do(pod, note, "journals", self._folder)) if lost != [] else {}
        names = sizes if lost is None else {run_objects.journal(note["attempt"], index) for index in lost}
        for name in sorted(sizes.keys() & names):
            inbound = OutputReceiver(self._ref.root, applied)
            command = self._command(note, "read", self._folder / name)
            with Exec(self._api, pod, labels.SIDECAR, command) as link:
                journal = _Counted(link)
                inbound.receive(journal)
                while journal.read(1 << 20):
                    pass
            if journal.count < sizes[name]:
                raise TrainstackError(
                    f"what run {self._ref.id} left on claim {self._claim} is not fetched ({link.error_message()}): it "
                    "stays there, and the next `pulumi up` fetches it"
                )
            if inbound.refused:
                print(f"not fetched: {', '.join(inbound.refused[:20])}", file=sys.stderr)

    def _do(self, pod: str, note: Manifest, verb: str, path: PurePosixPath) -> str:
        return run(self._api, pod, labels.SIDECAR, self._command(note, verb, path))

    def _command(self, note: Manifest, verb: str, path: PurePosixPath) -> list[str]:
        return [note["python"], "-c", script("pvc_store"), self._claim, verb, str(path)]


def claim_of(ref: RunRef) -> str | None:
    """The claim that may have something of a run; none where none has."""
    try:
        return str(read_json(_note(ref))["claim"])
    except FileNotFoundError:
        return None


def _note(ref: RunRef) -> Path:
    return ref.root / "claim.json"


class _Counted:
    """A source that counts what it gives."""

    def __init__(self, source: Exec) -> None:
        self._source = source
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self.count += len(data)
        return data
