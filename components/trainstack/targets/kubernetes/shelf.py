"""A run's part of the workspace's object store: what its pods are given, and what passes through it on the way home.

Content lies in the store by its digest, once for all runs and pods. Pods get addresses that are signed for an hour, by
an exec's standard input: no object of the cluster and no variable of a script holds anything that opens the store.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator

from trainstack.targets import Home, bundle
from trainstack.targets.kubernetes import manifests
from trainstack.targets.kubernetes.exec import Exec
from trainstack.targets.object_store import ObjectStore
from trainstack.targets.segmented import Segmented

_Stream = Callable[[], Iterable[bytes]]


class Shelf:
    """What a store has of a run."""

    def __init__(self, store: ObjectStore, home: Home) -> None:
        """Use `store` for the run at `home`."""
        self._store = store
        self._home = home
        self._folder = f"runs/{home.workspace}/{home.run}"
        self._digests: dict[str, list[tuple[str, _Stream]]] = {}
        self._turn = threading.Lock()

    def given(self) -> Iterator[bytes]:
        """What tells a pod where to fetch what it reads.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        yield self._line("given", lambda: bundle.pieces(self._home, manifests.LAYOUT))

    def kept(self) -> Iterator[bytes]:
        """What tells a pod where to fetch what it goes on writing.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        yield self._line("kept", lambda: [lambda: bundle.kept(self._home, manifests.USER)])

    def stream(self, link: Exec) -> Segmented:
        """What a node sends, whichever way it takes.

        Args:
            link: To its sender.
        """
        return Segmented(link, link.write, self._store, self._folder)

    def clear(self) -> None:
        """Remove what was on its way, of this run alone.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        self._store.remove(self._folder)

    def _line(self, what: str, streams: Callable[[], Iterable[_Stream]]) -> bytes:
        # All pods of a run are given the same: it is read, and uploaded, once.
        with self._turn:
            if what not in self._digests:
                self._digests[what] = [(_digest(stream), stream) for stream in streams()]
            found = [[self._store.put_content(digest, stream), digest] for digest, stream in self._digests[what]]
        return json.dumps(found).encode() + b"\n"


def _digest(stream: _Stream) -> str:
    found = hashlib.sha256()
    for piece in stream():
        found.update(piece)
    return found.hexdigest()
