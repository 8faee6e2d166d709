"""What registering a dataset will come to, as far as that is known without reading the web: for preview."""

from __future__ import annotations

from typing import Any

from trainstack.core.datasets.dataset_record import DatasetRecord, drift_mark, find, latest_of_sources, versions
from trainstack.core.datasets.local_files import local_files
from trainstack.core.datasets.spec import LISTED_FILES, DatasetSpec, local_digests
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests


def expected_outputs(workspace: Workspace | None, spec: DatasetSpec) -> dict[str, Any]:
    """The outputs that a registration will give.

    Local files are digested, unchanged ones from memory. Web addresses are not asked: what was registered from the
    same addresses is taken for what they have, unless a refresh has seen that they have something else.

    Args:
        workspace: Where the versions are; none where there is no workspace yet.
        spec: What is to be registered.

    Returns:
        `digest`, `files`, `file_count`, and `version` where the workspace has this content; empty where only the web
        can tell.
    """
    try:
        records = _records(workspace, spec.name) if workspace else []
    except TrainstackError:
        # A damaged record is an error of the update, which says what to do about it.
        return {}
    files = {name: digest for name, (_, digest) in local_digests(local_files(spec.paths)).items()}
    if spec.remote:
        registered = latest_of_sources(records, spec.sources)
        if workspace is None or registered is None or not _holds(workspace, registered, spec):
            return {}
        files |= {file.path: file.sha256 for file in registered.files if file.path in spec.remote}
    digest = digests.of_tree(files)
    version = next((record.version for record in records if record.digest == digest), None)
    return {
        "digest": digest,
        "files": files if len(files) <= LISTED_FILES else {},
        "file_count": len(files),
        **({"version": version} if version is not None else {}),
    }


def _records(workspace: Workspace, name: str) -> list[DatasetRecord]:
    return [find(workspace, name, version) for version in versions(workspace, name)]


def _holds(workspace: Workspace, record: DatasetRecord, spec: DatasetSpec) -> bool:
    """Whether a registration takes the version's remote files as they are."""
    if drift_mark(workspace, record).exists():
        return False
    remote = {file.path: file.sha256 for file in record.files if file.path in spec.remote}
    return remote.keys() == spec.remote.keys() and all(
        spec.promise(name).is_kept(workspace.blobs, digest) for name, digest in remote.items()
    )
