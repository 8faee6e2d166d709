"""What a compute declares on its cluster beside its runs, as the API server gets it. Pure functions.

Whom pods run as, the logins and settings that they are given, how much they may take together, and the volumes that
outlive them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainstack.targets.kubernetes import labels


@dataclass(frozen=True, kw_only=True)
class NewClaim:
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
class Wanted:
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
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secret_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    claims: Sequence[NewClaim] = ()


def pull_secret(name: str) -> str:
    """What the Secret with the registry's login is called."""
    return f"{name}-pull"


def settings(name: str) -> str:
    """What ConfigMap and Secret with the settings are called."""
    return f"{name}-settings"


def objects(name: str, namespace: str, stack: str, wanted: Wanted) -> list[dict[str, Any]]:
    """All objects that a compute declares in its namespace, in the order in which they are to be made.

    Args:
        name: What they are called.
        namespace: Where they are.
        stack: The Pulumi stack that declares them.
        wanted: Which.
    """
    marks = {labels.MANAGED: "trainstack", labels.STACK: labels.value(stack)}

    def thing(kind: str, called: str, **content: Any) -> dict[str, Any]:
        metadata = {"name": called, "namespace": namespace, "labels": marks}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}

    found: list[dict[str, Any]] = []
    if wanted.quota:
        found.append(thing("ResourceQuota", name, spec={"hard": dict(wanted.quota)}))
    if wanted.pull_login is not None:
        data = {".dockerconfigjson": wanted.pull_login}
        found.append(thing("Secret", pull_secret(name), type="kubernetes.io/dockerconfigjson", data=data))
    if wanted.settings:
        found.append(thing("ConfigMap", settings(name), data=dict(wanted.settings)))
    if wanted.secret_settings:
        found.append(thing("Secret", settings(name), type="Opaque", data=dict(wanted.secret_settings)))
    if wanted.account is not None:
        secrets = [{"name": pull_secret(name)}] if wanted.pull_login is not None else []
        # Bound to no role. Its token would be good for nothing, and nobody is handed it.
        account = thing("ServiceAccount", wanted.account, automountServiceAccountToken=False)
        found.append(account | ({"imagePullSecrets": secrets} if secrets else {}))
    found += [claim(thing("PersistentVolumeClaim", it.name), it) for it in wanted.claims]
    return found


def claim(thing: dict[str, Any], wanted: NewClaim) -> dict[str, Any]:
    """A volume claim.

    Args:
        thing: Its kind and metadata.
        wanted: What it asks for.
    """
    # Most storage is made for the first pod that uses it, so nobody waits for it before.
    metadata = {**thing["metadata"], "annotations": {"pulumi.com/skipAwait": "true"}}
    spec: dict[str, Any] = {
        "accessModes": [wanted.access_mode],
        "resources": {"requests": {"storage": f"{round(wanted.size_gib * 1024)}Mi"}},
    }
    if wanted.storage_class is not None:
        spec["storageClassName"] = wanted.storage_class
    return {**thing, "metadata": metadata, "spec": spec}
