"""What a compute declares on its cluster beside its runs, as the API server gets it. Pure functions.

Whom pods run as, the logins and settings that they are given, how much they may take together, and the volumes that
outlive them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class PvcSpec:
    """A volume claim to be declared.

    Attributes:
        name: Its name.
        size_gib: GiB that it asks for.
        storage_class: Its class; the cluster's default when left out.
        access_mode: Who may have it at once, as Kubernetes calls it.
    """

    name: str
    size_gib: float
    storage_class: str | None
    access_mode: str


@dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """What a compute wants declared. Secret values may be of any type that the reader of the objects resolves.

    Attributes:
        account: A service account to be made; none where one was named.
        quota: Most of each resource.
        pull_login: The content of a Docker configuration in base64; none where no login is needed.
        settings: Environment variables of runs.
        secret_settings: Secret ones, in base64.
        claims: Volume claims.
    """

    account: str | None = None
    quota: Mapping[str, str] = field(default_factory=dict[str, str])
    pull_login: Any = None
    settings: Mapping[str, Any] = field(default_factory=Manifest)
    secret_settings: Mapping[str, Any] = field(default_factory=Manifest)
    claims: Sequence[PvcSpec] = ()


def pull_secret(name: str) -> str:
    """What the Secret with the registry's login is called."""
    return f"{name}-pull"


def settings(name: str) -> str:
    """What ConfigMap and Secret with the settings are called."""
    return f"{name}-settings"


def objects(name: str, namespace: str, stack: str, request: ResourceRequest) -> list[Manifest]:
    """All objects that a compute declares in its namespace, in the order in which they are to be made.

    Args:
        name: What they are called.
        namespace: Where they are.
        stack: The Pulumi stack that declares them.
        request: Which.
    """
    common_labels = {labels.MANAGED: "trainstack", labels.STACK: labels.value(stack)}

    def manifest(kind: str, object_name: str, **content: Any) -> Manifest:
        metadata = {"name": object_name, "namespace": namespace, "labels": common_labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}

    manifests: list[Manifest] = []
    if request.quota:
        manifests.append(manifest("ResourceQuota", name, spec={"hard": dict(request.quota)}))
    if request.pull_login is not None:
        data = {".dockerconfigjson": request.pull_login}
        manifests.append(manifest("Secret", pull_secret(name), type="kubernetes.io/dockerconfigjson", data=data))
    if request.settings:
        manifests.append(manifest("ConfigMap", settings(name), data=dict(request.settings)))
    if request.secret_settings:
        manifests.append(manifest("Secret", settings(name), type="Opaque", data=dict(request.secret_settings)))
    if request.account is not None:
        secrets = [{"name": pull_secret(name)}] if request.pull_login is not None else []
        # Bound to no role. Its token would be good for nothing, and nobody is handed it.
        account = manifest("ServiceAccount", request.account, automountServiceAccountToken=False)
        manifests.append(account | ({"imagePullSecrets": secrets} if secrets else {}))
    manifests += [claim(manifest("PersistentVolumeClaim", pvc.name), pvc) for pvc in request.claims]
    return manifests


def claim(header: Manifest, pvc: PvcSpec) -> Manifest:
    """A volume claim.

    Args:
        header: Its kind and metadata.
        pvc: What it asks for.
    """
    # Most storage is made for the first pod that uses it, so nobody waits for it before.
    metadata = {**header["metadata"], "annotations": {"pulumi.com/skipAwait": "true"}}
    spec: Manifest = {
        "accessModes": [pvc.access_mode],
        "resources": {"requests": {"storage": f"{round(pvc.size_gib * 1024)}Mi"}},
    }
    if pvc.storage_class is not None:
        spec["storageClassName"] = pvc.storage_class
    return {**header, "metadata": metadata, "spec": spec}
