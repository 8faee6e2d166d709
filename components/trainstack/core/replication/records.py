"""Copy records: what is new, and what has changed on the side that is copied only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from trainstack.core.workspace.journal import Journal
from trainstack.storage.store import Entry, Item, Store, VersionConflictError

State = Literal["new", "same", "ahead", "behind", "conflict"]
"""Of the source's record beside the target's: `ahead` when it alone has changed since both were the same."""


class RecordCopier:
    """The records of two stores."""

    def __init__(
        self,
        source: Store,
        target: Store,
        source_items: Mapping[str, Item],
        target_items: Mapping[str, Item],
        journal: Journal,
    ) -> None:
        self._source, self._target = source, target
        self._source_items, self._target_items = source_items, target_items
        self._journal = journal

    def read(self, key: str) -> Entry:
        """Read a record of the source."""
        return self._source.get(key)

    def state(self, key: str) -> State:
        """Compare a record on both sides; their bytes are read only where the versions do not tell."""
        ours, theirs = self._source_items[key], self._target_items.get(key)
        if theirs is None:
            return "new"
        known = self._journal.versions(key)
        changed = (True, True) if known is None else (ours.version != known[0], theirs.version != known[1])
        if changed == (False, False):
            return "same"
        if changed == (True, True):
            return "same" if ours.size == theirs.size and self._equal(key) else "conflict"
        return "ahead" if changed[0] else "behind"

    def all_same(self, keys: Iterable[str]) -> bool:
        """Return whether the target has all of these records as the source has them."""
        return all(self.state(key) == "same" for key in keys)

    def copy(self, key: str, entry: Entry) -> bool | None:
        """Copy a record unless the target has it or a newer one.

        Args:
            key: The record.
            entry: What the source has.

        Returns:
            Whether it was written; None when both sides have changed it.
        """
        state = self.state(key)
        if state == "conflict":
            return None
        if state in ("same", "behind"):
            return False
        try:
            if state == "new":
                version = self._target.create(key, entry.data)
            else:
                version = self._target.replace(key, entry.data, self._target_items[key].version)
        except (FileExistsError, VersionConflictError):
            # Somebody else has written it since it was listed.
            return False if self._equal(key) else None
        self._journal.note(key, entry.version, version)
        return True

    def _equal(self, key: str) -> bool:
        try:
            ours, theirs = self._source.get(key), self._target.get(key)
        except FileNotFoundError:
            # Removed since it was listed.
            return False
        if ours.data != theirs.data:
            return False
        self._journal.note(key, ours.version, theirs.version)
        return True
