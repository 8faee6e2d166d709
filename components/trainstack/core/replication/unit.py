"""What is copied as one: a run with its files, a sweep, or a record alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from trainstack.core.workspace.layout import is_content, is_record

_HEADS = {"runs": "run.json", "sweeps": "sweep.json"}
"""The record without which the others of a folder are nothing; it is written last."""


@dataclass
class Unit:
    """Records and the content that they stand for.

    Attributes:
        name: The folder or key, for people.
        records: Their keys; the last one makes the unit visible.
        content: Keys of the files that belong to it alone.
    """

    name: str
    records: list[str] = field(default_factory=list[str])
    content: list[str] = field(default_factory=list[str])

    @property
    def head(self) -> str:
        """The record that makes the unit visible."""
        return self.records[-1]


def unit_of(key: str) -> str:
    """Return what a key is copied with: the folder of a run or sweep; of another record its key."""
    folder, _, below = key.partition("/")
    return f"{folder}/{below.partition('/')[0]}" if folder in _HEADS else key


def head_of(unit: str) -> str:
    """Return the record without which a run or sweep is nothing; empty for another record."""
    head = _HEADS.get(unit.partition("/")[0])
    return f"{unit}/{head}" if head else ""


def units(keys: Iterable[str], folder: str) -> list[Unit]:
    """Group the keys of a folder into what is copied as one; what lacks the record that makes it visible is left out.

    Args:
        keys: Keys of a store, of which those of the folder's truth count.
        folder: One of `layout.FOLDERS`.
    """
    head = _HEADS.get(folder)
    grouped: dict[str, Unit] = defaultdict(lambda: Unit(""))
    for key in keys:
        if not key.startswith(f"{folder}/"):
            continue
        if is_record(key):
            grouped[unit_of(key)].records.append(key)
        elif is_content(key) and head:
            grouped[unit_of(key)].content.append(key)
    for name, unit in grouped.items():
        unit.name = name
        unit.records.sort(key=lambda key: (key.endswith(f"/{head}"), key))
    return [unit for unit in grouped.values() if unit.records and (head is None or unit.head.endswith(f"/{head}"))]
