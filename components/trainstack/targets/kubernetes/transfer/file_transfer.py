"""How a run's files are transferred between its directory and its pods: by exec, or by a store that both reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Protocol, TypeAlias

from trainstack.targets.base import NodeGroupSpec, RunRef
from trainstack.targets.kubernetes.api.exec import Exec
from trainstack.targets.kubernetes.node import KubernetesNode
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.transfer import archive
from trainstack.targets.transfer.output_receiver import Source

RunInSidecar: TypeAlias = Callable[[str, Sequence[str], Iterable[bytes]], str]
"""Runs a program of `in_pod` in a pod's sidecar: its name, arguments, standard input; gives what it says."""


class FileTransfer(Protocol):
    """The transfer of files between a run's directory and its pods.

    Attributes:
        sender: Arguments of a pod's sender.
    """

    sender: Sequence[str] = ()

    def begin(self, group: NodeGroupSpec) -> None:
        """Hear what is about to be started."""

    def hand_over(self, run_in_sidecar: RunInSidecar) -> None:
        """Give a pod what its node reads and goes on writing; called for several pods at once.

        Raises:
            TrainstackError: The cluster or the store refuses or does not answer, or a disk is full.
        """
        ...

    def stream(self, link: Exec) -> Source:
        """What a node sends.

        Args:
            link: To its sender.
        """
        ...

    @property
    def may_have_outputs(self) -> bool:
        """Whether the store may have something of the run that no pod has any more."""
        return False

    def wait_synced(
        self, lost: Sequence[int] | None, living: KubernetesNode | None, applied: Callable[[str], None]
    ) -> None:
        """Fetch what the store has of lost nodes. All else is fetched.

        Args:
            lost: Their numbers; none for all that there is.
            living: A node whose pod is there, if one is.
            applied: Called with the name of each fetched file.

        Raises:
            TrainstackError: Something cannot be fetched; it stays where it is.
        """

    def release(self) -> None:
        """Called when all outputs are fetched and the pods have been released."""

    def clear(self) -> None:
        """Remove what the store has of this run alone.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """


class Pieces:
    """What the pods of a run get, in pieces; the run's directory is read once for all pods."""

    def __init__(self, ref: RunRef) -> None:
        """Cut the files of the run."""
        self._ref = ref

    @cached_property
    def inputs(self) -> Sequence[archive.Piece]:
        """What nodes only read."""
        return list(archive.pieces(self._ref, run_objects.LAYOUT, run_objects.USER))

    @cached_property
    def written(self) -> Sequence[archive.Piece]:
        """What they go on writing."""
        return [archive.written_piece(self._ref, run_objects.USER)]


class ExecTransfer(FileTransfer):
    """By exec, through the API server."""

    def __init__(self, ref: RunRef) -> None:
        """Transfer the files of the run."""
        self._ref = ref

    def hand_over(self, run_in_sidecar: RunInSidecar) -> None:
        """Stream it."""
        read_only = archive.read_only_stream(self._ref, run_objects.LAYOUT, run_objects.USER)
        run_in_sidecar("unpack", [str(run_objects.INPUTS)], read_only)
        run_in_sidecar("unpack", [str(run_objects.WRITABLE)], archive.written_stream(self._ref, run_objects.USER))

    def stream(self, link: Exec) -> Exec:
        """The link itself."""
        return link
