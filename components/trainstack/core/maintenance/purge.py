"""Delete a run, or versions of a model or dataset, for good: the only command that destroys history.

What something else still needs is refused. The bytes of purged datasets and models stay in the blobs until
`trainstack gc --delete`, which removes those that nothing else points to.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainstack.abbreviation import abbreviated
from trainstack.core.datasets import dataset_record
from trainstack.core.maintenance import references
from trainstack.core.maintenance.gc import remove
from trainstack.core.models import aliases, model
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.request import RunRequest
from trainstack.core.services.process import living
from trainstack.core.services.record import list_services
from trainstack.core.tracking.queue import MODEL_PREFIX, enqueue
from trainstack.core.workspace.version_numbers import note_purged
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InUseError, NotFoundError, TrainstackError
from trainstack.storage import disk_space, locks
from trainstack.storage.atomic import disk_errors

OnWait = Callable[[str], None]


@dataclass(frozen=True)
class Victim:
    """Something to purge.

    Attributes:
        kind: `run`, `model` or `dataset`.
        name: Its name.
        path: Its folder, or a dataset version's record.
        version: The version, of models and datasets.
        size: Bytes that are free at once; those of blobs follow with `trainstack gc --delete`.
    """

    kind: str
    name: str
    path: Path
    version: int = 0
    size: int = 0


def run(workspace: Workspace, directory: RunDirectory) -> list[Victim]:
    """Return what purging a run removes."""
    return [_sized(Victim("run", directory.id, workspace.run(directory.id)))]


def models(workspace: Workspace, name: str, version: int | None = None) -> list[Victim]:
    """Return what purging a model removes: one version, or all of them.

    Raises:
        NotFoundError: There is no such model or version.
    """
    latest = model.find(workspace, name, version)
    folders = [Path(latest.path).parent] if version else sorted(workspace.model(name).glob("[0-9]*"))
    return [_sized(Victim("model", name, path, int(path.name))) for path in folders if path.name.isdecimal()]


def datasets(workspace: Workspace, name: str, version: int | None = None) -> list[Victim]:
    """Return what purging a dataset removes: one version, or all of them.

    Raises:
        NotFoundError: There is no such dataset or version.
    """
    dataset_record.find(workspace, name, version)
    versions = [version] if version else dataset_record.versions(workspace, name)
    folder = workspace.dataset(name)
    return [_sized(Victim("dataset", name, folder / f"{number}.json", number)) for number in versions]


def purge(workspace: Workspace, victims: list[Victim], on_wait: OnWait = lambda _: None) -> None:
    """Delete all victims for good, or none when something needs one of them.

    Each is renamed away, and so disappears at once; a purge that is killed is completed by the next call or by
    `trainstack gc --delete`.

    Args:
        workspace: The workspace.
        victims: From `run`, `models` or `datasets`.
        on_wait: Called with what it waits for.

    Raises:
        InUseError: Something needs one of them; the message names it.
        TrainstackError: A record that may need one cannot be read.
    """
    with locks.exclusive(workspace.records_lock, lambda: on_wait("waiting for registrations under way")):
        check(workspace, victims)
        for victim in victims:
            if victim.kind == "run":
                _discard_run(workspace, victim)
                enqueue(workspace, victim.name)
                continue
            # `restore` holds the name's lock alone and not the records lock.
            with locks.exclusive(victim.path.parent / ".lock", lambda: on_wait("waiting for another change of it")):
                note_purged(victim.path.parent, victim.version)
                _discard(workspace, victim)
            if victim.kind == "model":
                enqueue(workspace, f"{MODEL_PREFIX}{victim.name}")


def check(workspace: Workspace, victims: list[Victim]) -> None:
    """Check that nothing needs the victims.

    Raises:
        InUseError: Something does; the message names it.
        TrainstackError: A record that may need one cannot be read.
    """
    needed = {"run": _run_needed_by, "model": _model_needed_by, "dataset": _dataset_needed_by}
    for victim in victims:
        reasons = list(needed[victim.kind](workspace, victim))
        if reasons:
            raise in_use(victim, reasons)


def in_use(victim: Victim, reasons: list[str]) -> InUseError:
    """Return the error for a victim that something needs, with the first reasons and how many more there are."""
    return InUseError(f"{label_of(victim)} is needed: {abbreviated(reasons, 4, separator='; ')}")


def label_of(victim: Victim) -> str:
    """Return kind, name and version of a victim, for messages."""
    return f"{victim.kind} {victim.name}" + (f" version {victim.version}" if victim.version else "")


def _run_needed_by(workspace: Workspace, victim: Victim) -> Iterator[str]:
    if RunDirectory(victim.path).has_supervisor():
        yield f"it is running, `trainstack runs stop {victim.name}` ends it"
    for _, record in references.models(workspace):
        if isinstance(record, TrainstackError):
            raise record
        if record.run_id == victim.name:
            yield f"model {record.name} version {record.version} was made by it"


def _model_needed_by(workspace: Workspace, victim: Victim) -> Iterator[str]:
    for service in list_services(workspace):
        served = {pair for server in living(Path(service.folder)) for pair in server.served}
        if service.status != "stopped":
            served |= {(service.model_name, int(version)) for version in service.shares}
            served.add((service.model_name, service.model_version))
        if (victim.name, victim.version) in served:
            yield f"service {service.name} serves it"
    for alias, version in aliases.read(workspace, victim.name).items():
        if version == victim.version:
            yield f"it is its {alias}"


def _dataset_needed_by(workspace: Workspace, victim: Victim) -> Iterator[str]:
    for path, request in references.requests(workspace):
        if not isinstance(request, RunRequest):
            raise request
        for used in request.datasets.values():
            if (used.name, used.version) == (victim.name, victim.version):
                yield f"run {path.parent.name} ({request.name}) trains on it"


def _discard_run(workspace: Workspace, victim: Victim) -> None:
    try:
        with RunDirectory(victim.path).lock() as acquired:
            if not acquired:
                raise InUseError(f"{label_of(victim)} is needed: it is running")
            _discard(workspace, victim)
    except FileNotFoundError as exc:
        raise NotFoundError(f"{label_of(victim)} is gone already") from exc


def _discard(workspace: Workspace, victim: Victim) -> None:
    away = workspace.trash / f"{victim.kind}-{victim.name}-{secrets.token_hex(4)}"
    with disk_errors(victim.path):
        workspace.trash.mkdir(parents=True, exist_ok=True)
        victim.path.rename(away)
    remove(away)


def _sized(victim: Victim) -> Victim:
    [size] = disk_space.freed([disk_space.files_below(victim.path)])
    return Victim(victim.kind, victim.name, victim.path, victim.version, size)
