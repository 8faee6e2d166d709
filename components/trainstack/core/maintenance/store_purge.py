"""Delete a run, or versions of a model or dataset, from a workspace in a store: for every machine, for good.

Each disappears with one removal, that of its record; its files follow, and `trainstack gc --delete` takes what a kill
has left of them. A machine that has a copy drops it with its next look at the store, and does not push it again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from trainstack.core.maintenance.purge import Victim, in_use
from trainstack.core.runs.indexed_store import indexed
from trainstack.core.workspace.layout import RECORDS_LEASE
from trainstack.storage import lease
from trainstack.storage.lease import LeaseHeldError
from trainstack.storage.store import Store, VersionConflictError

OnWait = Callable[[str], None]
_AT_ONCE = 16
_DEAD_SECONDS = lease.SECONDS + 5


def purge(store: Store, victims: list[Victim], on_wait: OnWait = lambda _: None) -> None:
    """Delete all victims for good, or none when something needs one of them.

    Args:
        store: The store.
        victims: As `purge.run`, `purge.models` and `purge.datasets` return them.
        on_wait: Called with what it waits for.

    Raises:
        InUseError: Something needs one of them; the message names it.
        TrainstackError: The store refuses or does not answer.
    """
    store = indexed(store)
    take = partial(lease.taken, store, label="trainstack purge", on_wait=lambda other: on_wait(f"waiting for {other}"))
    with contextlib.ExitStack() as stack:
        rights = [stack.enter_context(take(RECORDS_LEASE))]
        for victim in victims:
            if victim.kind == "run":
                try:
                    rights.append(stack.enter_context(take(f"runs/{victim.name}", patience=_DEAD_SECONDS)))
                except LeaseHeldError as exc:
                    raise in_use(victim, [str(exc)]) from exc
            if reasons := list(_needed_by(store, victim)):
                raise in_use(victim, reasons)
        for victim in victims:
            _delete(store, victim)
        for right in rights:
            right.require()


def _needed_by(store: Store, victim: Victim) -> Iterator[str]:
    if victim.kind == "run":
        for _, model in _documents(store, "models", "/model.json"):
            if model.get("run_id") == victim.name:
                yield f"model {model['name']} version {model['version']} was made by it"
    if victim.kind == "model":
        for _, aliases in _documents(store, f"models/{victim.name}", "/aliases.json"):
            yield from (f"it is its {alias}" for alias, version in aliases.items() if version == victim.version)
    if victim.kind == "dataset":
        for key, request in _documents(store, "runs", "/spec.json"):
            used = [(data["name"], data["version"]) for data in request.get("datasets", {}).values()]
            if (victim.name, victim.version) in used:
                yield f"run {key.split('/')[1]} ({request['name']}) trains on it"


def _documents(store: Store, folder: str, ending: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of a folder whose keys end so."""

    def read(key: str) -> tuple[str, dict[str, Any]] | None:
        try:
            return key, json.loads(store.get(key).data)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        keys = [item.key for item in store.list(folder) if item.key.endswith(ending)]
        yield from filter(None, pool.map(read, keys))


def _delete(store: Store, victim: Victim) -> None:
    if victim.kind == "run":
        store.delete(f"runs/{victim.name}/run.json")
        store.delete_all([item.key for item in store.list(f"runs/{victim.name}")])
        return
    folder = f"{victim.kind}s/{victim.name}"
    _note_purged(store, f"{folder}/purged.json", victim.version)
    store.delete(f"{folder}/{victim.version}" + ("/model.json" if victim.kind == "model" else ".json"))


def _note_purged(store: Store, key: str, version: int) -> None:
    """Write down that a version number was given, as `version_numbers` does in a folder."""
    while True:
        with contextlib.suppress(FileExistsError, VersionConflictError):
            try:
                entry = store.get(key)
            except FileNotFoundError:
                store.create(key, json.dumps({"last_version": version}).encode())
                return
            if int(json.loads(entry.data)["last_version"]) < version:
                store.replace(key, json.dumps({"last_version": version}).encode(), entry.version)
            return
