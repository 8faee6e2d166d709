"""Read the environments that are built on this machine, and compare them with what they were when they were built."""

from __future__ import annotations

from trainstack.core.environments import sealed_files, venv
from trainstack.core.maintenance.fsck import Damage, Verified
from trainstack.storage import disk_space
from trainstack.storage.cache import cache_folder

_ADVICE = "nothing needs to be done: it is built again when it is used next"


def verify_environments() -> Verified:
    """Read all files of all environments; one that is damaged is not used again before it is built anew.

    Returns:
        The result.
    """
    files = size = 0
    damages: list[Damage] = []
    for folder in sorted((cache_folder() / "environments").glob("[!.]*/")):
        if not venv.is_sealed(folder):
            continue
        paths = list(disk_space.files_below(folder / "venv"))
        files, size = files + len(paths), size + disk_space.size_of(paths)
        changes = sealed_files.find_changes(folder)
        if changes:
            venv.distrust(folder)
        damages += [Damage("environment", folder.name[:12], folder, change, _ADVICE) for change in changes]
    return Verified(files, size, damages)
