"""The content that a record stands for, read from its bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

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
        TrainstackError: The record is damaged.
    """
    folder, name = key.partition("/")[0], key.rpartition("/")[2]
    if not name.endswith(".json"):
        return []
    try:
        document: Any = json.loads(data)
        if folder == "datasets" and name != "purged.json":
            return [Reference(blob_key(file["sha256"]), file["path"], file["sha256"]) for file in document["files"]]
        if name == "model.json":
            return [Reference(blob_key(digest), path, digest) for path, digest in document["files"].items()]
        if name == "spec.json":
            spec = document["run"]["spec"] if folder == "sweeps" else document["spec"]
            return [Reference(blob_key(sha), f"code/{path}", sha, needed=False) for path, sha in spec["files"].items()]
        if name == "run.json":
            outputs = document["outputs"].items()
            beside = key.removesuffix("run.json")
            return [Reference(f"{beside}outputs/{path}", f"outputs/{path}", digest) for path, digest in outputs]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise TrainstackError(f"{key} is damaged: `trainstack fsck` says what to do") from exc
    return []
