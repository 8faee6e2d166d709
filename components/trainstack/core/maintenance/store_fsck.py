"""Read everything that a workspace in a store keeps, and compare it with its digests. Nothing is changed."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from trainstack.core.maintenance.fsck import Damage, Progress, Verified
from trainstack.core.workspace.layout import FOLDERS, is_record
from trainstack.core.workspace.record_references import Reference, references
from trainstack.errors import DigestMismatchError, TrainstackError
from trainstack.storage.store import Item, Store, blob_digest

_AT_ONCE = 8
_KINDS = {"datasets": "dataset", "models": "model", "runs": "run", "sweeps": "record"}
_ADVICE = {
    "dataset": "`pulumi refresh`, then `pulumi up`, fetches it again from its source",
    "model": "`pulumi up` registers it again, if its run still has the file",
    "run": "change the run's `trigger` to train it again, unless a model has the same file: then `pulumi refresh` and "
    "`pulumi up` put it back",
}
_CODE = "its outputs are not touched; the next attempt stores the code again"
_UNNAMED = "nothing below: `trainstack gc --delete` removes it"


def verify(store: Store, progress: Progress = lambda _done, _all: None) -> Verified:
    """Check all content of a store that has a digest, and that nothing is missing that a record names.

    Args:
        store: The store.
        progress: Called after each file, with the bytes read so far and in all.

    Returns:
        The result; the paths of its damages are keys of the store.

    Raises:
        TrainstackError: The store refuses or does not answer.
    """
    items = {item.key: item for folder in FOLDERS for item in store.list(folder)}
    damages: list[Damage] = []
    named: dict[str, list[tuple[str, Reference]]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for key, needs in pool.map(partial(_references, store), filter(is_record, items)):
            if isinstance(needs, Damage):
                damages.append(needs)
                continue
            for reference in needs:
                named.setdefault(reference.key, []).append((key, reference))
        digests = {key: pairs[0][1].digest for key, pairs in named.items()}
        digests |= {key: digest for key in items if (digest := blob_digest(key))}
        bad = _Reading(store, items, digests, progress).damaged(pool)
    for key in sorted(bad):
        if blob_digest(key):
            damages.append(Damage("blob", key.rpartition("/")[2], Path(key), "changed", _UNNAMED))
    for key in sorted(named):
        if key not in items or key in bad:
            problem = "changed" if key in bad else "gone"
            damages += [_damage(record, reference, problem) for record, reference in named[key]]
    return Verified(
        len(digests.keys() & items.keys()), sum(items[key].size for key in digests if key in items), damages
    )


class _Reading:
    """Content that is read and compared, in a folder that is gone afterwards."""

    def __init__(self, store: Store, items: dict[str, Item], digests: dict[str, str], progress: Progress) -> None:
        self._store, self._items, self._digests, self._progress = store, items, digests, progress
        self._keys = [key for key in digests if key in items]
        self._total = sum(items[key].size for key in self._keys)
        self._done = 0
        self._lock = threading.Lock()

    def damaged(self, pool: ThreadPoolExecutor) -> set[str]:
        """Read everything; returns what has other bytes."""
        with tempfile.TemporaryDirectory(prefix="trainstack-fsck-") as folder:
            checks = [pool.submit(self._is_damaged, key, Path(folder, str(at))) for at, key in enumerate(self._keys)]
            return {key for key, check in zip(self._keys, checks, strict=True) if check.result()}

    def _is_damaged(self, key: str, path: Path) -> bool:
        try:
            self._store.download(key, path, self._digests[key])
        except DigestMismatchError:
            return True
        except FileNotFoundError:
            # Removed since it was listed, with what needed it.
            return False
        finally:
            path.unlink(missing_ok=True)
            with self._lock:
                self._done += self._items[key].size
                self._progress(self._done, self._total)
        return False


def _references(store: Store, key: str) -> tuple[str, list[Reference] | Damage]:
    try:
        return key, references(key, store.get(key).data)
    except FileNotFoundError:
        return key, []
    except TrainstackError:
        return key, Damage("record", key, Path(key), "damaged", "write it anew by the `pulumi up` that made it")


def _damage(record: str, reference: Reference, problem: str) -> Damage:
    kind = _KINDS[record.partition("/")[0]]
    name = "/".join(record.split("/")[1:3]).removesuffix(".json").removesuffix("/run").removesuffix("/spec")
    advice = _CODE if not reference.needed else _ADVICE.get(kind, "")
    return Damage(kind, f"{name}: {reference.name}", Path(reference.key), problem, advice)
