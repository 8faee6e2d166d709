"""The content that a record stands for, read from its bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from trainstack.core.workspace.inside_name import leads_out
from trainstack.errors import TrainstackError
from trainstack.storage.store import blob_key


@dataclass(frozen=True)
class Reference:
    """Content that a record stands for.

    Attributes:
        key: The content's key.
        name: What it is to the record, such as `code/train.py`.
        digest: Its hex SHA-256.
        needed: Whether the record is worth nothing without it. A run's outputs are, without its code, what they were.
    """

    key: str
    name: str
    digest: str
    needed: bool = True


def references(key: str, data: bytes) -> list[Reference]:
    """Return the content that a record stands for.

    Raises:
        TrainstackError: The record is damaged, or names a file outside of its folder.
    """
    try:
        named = _references(key, data)
        outside = next((path for path, _ in named if leads_out(path)), None)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise TrainstackError(f"{key} is damaged: `trainstack fsck` says what to do") from exc
    if outside is not None:
        raise TrainstackError(f"{key} names a file outside of its folder, {outside!r}: remove it, or restore it")
    return [reference for _, reference in named]


def _references(key: str, data: bytes) -> list[tuple[str, Reference]]:
    """The content by its path below the folder that it is laid out in."""
    folder, name = key.partition("/")[0], key.rpartition("/")[2]
    if not name.endswith(".json"):
        return []
    document: Any = json.loads(data)
    if folder == "datasets" and name != "purged.json":
        blobs: list[tuple[str, str]] = [(file["path"], file["sha256"]) for file in document["files"]]
        manifest: Any = document.get("objects") or {"shards": []}
        lists: list[str] = manifest["shards"]
        blobs += [(f"list of objects {number}", digest) for number, digest in enumerate(lists, 1)]
        return [(path, Reference(blob_key(digest), path, digest)) for path, digest in blobs]
    if name == "model.json":
        return [(path, Reference(blob_key(digest), path, digest)) for path, digest in document["files"].items()]
    if name == "spec.json":
        files = (document["run"]["spec"] if folder == "sweeps" else document["spec"])["files"]
        return [
            (path, Reference(blob_key(digest), f"code/{path}", digest, needed=False)) for path, digest in files.items()
        ]
    if name == "run.json":
        beside = key.removesuffix("run.json")
        return [
            (path, Reference(f"{beside}outputs/{path}", f"outputs/{path}", digest))
            for path, digest in document["outputs"].items()
        ]
    return []
