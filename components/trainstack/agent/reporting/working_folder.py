"""What a run leaves in its working folder, beside its outputs: it is kept by nobody, so the node's report names it."""

from __future__ import annotations

import os
from collections.abc import Iterator

_NAMED = 100
_CACHES = "__pycache__"


class WorkingFolder:
    """The working folder of a node's script, as it was before the script began."""

    def __init__(self, folder: str) -> None:
        """Look what is in it.

        Args:
            folder: Its path; its links to other folders are not followed.
        """
        self._folder = folder
        self._before = frozenset(self._files())

    def added(self) -> tuple[tuple[str, ...], int]:
        r"""The files that have come since: the first of them, relative to the folder, sorted, and how many there are.

        A byte of a name that is no UTF-8 is written as `\xff`.
        """
        added = sorted(path for path in self._files() if path not in self._before)
        named = (os.fsencode(path).decode("utf-8", "backslashreplace") for path in added[:_NAMED])
        return tuple(named), len(added)

    def _files(self) -> Iterator[str]:
        for folder, folders, names in os.walk(self._folder):
            folders[:] = [name for name in folders if name != _CACHES]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self._folder)  # noqa: PTH118
