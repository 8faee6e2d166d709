"""The layout of a workspace: which keys are its truth, in a folder and in a store. `docs/workspace.md` lists them.

What is not named here belongs to one machine (locks, caches, downloads under way, its services, its MLflow database),
or follows from what is (a run's laid out code and data, a model's linked files). No copy of a workspace has it.
"""

from __future__ import annotations

import re

LAYOUT = 1
"""The version of the layout."""
MARKER = "workspace.json"
"""The record that makes a folder of files a workspace; written last where a workspace is copied."""
ID = "id"
"""The record that tells a workspace from others; written first where a workspace is copied."""
RECORDS_LEASE = "records"
"""The lease in a store under which datasets, models and computes are changed, and blobs collected."""
FOLDERS = ("blobs/sha256", "datasets", "runs", "models", "sweeps", "computes")
"""The folders with the truth. What is in one refers to those before it only."""

_RECORD = re.compile(
    r"datasets/[^/]+/(?:[0-9]+|purged)\.json"
    r"|runs/[^/]+/(?:spec\.json|events\.jsonl|placement\.json|joined\.json|run\.json)"
    r"|models/[^/]+/(?:[0-9]+/model\.json|purged\.json|aliases\.jsonl?)"
    r"|sweeps/[^/]+/(?:spec|sweep)\.json"
    r"|computes/[^/]+/compute\.json"
)
_CONTENT = re.compile(
    r"blobs/sha256/[0-9a-f]{2}/[0-9a-f]{64}"
    r"|runs/[^/]+/(?:outputs|logs|tracking|checkpoints)/.+"
    r"|sweeps/[^/]+/(?:study\.journal|importance\.svg)",
    re.DOTALL,
)


def is_record(key: str) -> bool:
    """Return whether a key is a record of the truth: small, written whole, replaced version by version."""
    return _RECORD.fullmatch(key) is not None


def is_content(key: str) -> bool:
    """Return whether a key is content of the truth: a file of any size that a record stands for."""
    return _CONTENT.fullmatch(key) is not None
