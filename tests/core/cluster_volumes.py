"""Volumes of a cluster whose storage is folders of its machine: taken for a test, and usable by others afterwards."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.kubernetes_runs import CLUSTER, access
from tests.waiting import until

SECONDS = 60.0


def volumes() -> list[dict[str, Any]]:
    answer = access().core.list_persistent_volume(_preload_content=False)
    return [it for it in json.loads(answer.data)["items"] if "hostPath" in it["spec"]]


def bound_to(namespace: str) -> list[str]:
    """The volumes that claims of a namespace have, or had."""
    found = [(it["metadata"]["name"], it["spec"].get("claimRef") or {}) for it in volumes()]
    return [name for name, claim in found if claim.get("namespace") == namespace]


def emptied(folder: Path, group: int, mode: int) -> Path:
    """A volume's folder with nothing in it, that belongs to root and a group."""
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    os.chown(folder, 0, group)
    folder.chmod(mode)
    return folder


def give_back(name: str) -> None:
    """Empty a volume that nobody claims any more, and let the next have it: the cluster itself cannot delete it."""

    def released() -> bool:
        return _volume(name)["status"]["phase"] in ("Released", "Failed", "Available")

    until(released, SECONDS)
    with contextlib.suppress(OSError):
        emptied(Path(_volume(name)["spec"]["hostPath"]["path"]), 0, 0o755)
    access().core.patch_persistent_volume(name, {"spec": {"claimRef": None}})


@contextlib.contextmanager
def claimed(name: str, mode: str = "ReadWriteMany") -> Iterator[Path]:
    """A claim of the tests' namespace, and the folder behind it."""
    if os.getuid():
        pytest.skip("only root gets at the folders of a cluster's volumes")
    _release(name)
    free = [it for it in volumes() if it["status"]["phase"] == "Available" and mode in it["spec"]["accessModes"]]
    core, namespace = access().core, CLUSTER.namespace
    for volume in free:
        spec = {
            "accessModes": [mode],
            "volumeName": volume["metadata"]["name"],
            "storageClassName": volume["spec"].get("storageClassName", ""),
            "resources": {"requests": {"storage": "1Gi"}},
        }
        body = {"metadata": {"name": name}, "spec": spec}
        core.create_namespaced_persistent_volume_claim(namespace, body)
        folder = Path(volume["spec"]["hostPath"]["path"])
        try:
            with contextlib.suppress(AssertionError):
                until(lambda: _phase(name) == "Bound", 15)
            if _phase(name) == "Bound":
                folder.mkdir(parents=True, exist_ok=True)
                yield folder
                return
            # Somebody else was quicker.
        finally:
            _release(name)
    pytest.skip("the cluster has no free volume on a folder of this machine")


@contextlib.contextmanager
def asked_for(name: str, mode: str) -> Iterator[None]:
    """A claim that no pod uses yet."""
    _release(name)
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
    access().core.create_namespaced_persistent_volume_claim(
        CLUSTER.namespace, {"metadata": {"name": name}, "spec": spec}
    )
    try:
        yield
    finally:
        _release(name)


def _release(name: str) -> None:
    core, namespace = access().core, CLUSTER.namespace
    with contextlib.suppress(Exception):
        core.delete_namespaced_persistent_volume_claim(name, namespace)
    for pod in json.loads(core.list_namespaced_pod(namespace, _preload_content=False).data)["items"]:
        # Of tests that were killed: a claim stays for as long as a pod has it.
        if name in [(it.get("persistentVolumeClaim") or {}).get("claimName") for it in pod["spec"]["volumes"]]:
            with contextlib.suppress(Exception):
                core.delete_namespaced_pod(pod["metadata"]["name"], namespace, grace_period_seconds=0)
    until(lambda: not _phase(name), SECONDS)
    for volume in volumes():
        claim = volume["spec"].get("claimRef") or {}
        if (claim.get("namespace"), claim.get("name")) == (namespace, name):
            give_back(volume["metadata"]["name"])


def _phase(name: str) -> str:
    answer = access().core.list_namespaced_persistent_volume_claim(
        CLUSTER.namespace, field_selector=f"metadata.name={name}", _preload_content=False
    )
    return next((it["status"].get("phase", "-") for it in json.loads(answer.data)["items"]), "")


def _volume(name: str) -> dict[str, Any]:
    return json.loads(access().core.read_persistent_volume(name, _preload_content=False).data)
