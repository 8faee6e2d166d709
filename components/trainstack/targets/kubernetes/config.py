"""What a compute says of a cluster: its context, its namespace, and how pods run in it. Nothing here connects to it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from trainstack.errors import InvalidInputError
from trainstack.targets.config import TargetConfig

# Folders of a pod that are the image's or ours.
_TAKEN = ("", "trainstack", "tmp", "dev", "proc", "sys", "etc", "usr", "bin", "lib", "opt", "service")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Toleration(BaseModel):
    """A taint that pods put up with; Kubernetes' own fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    key: str
    operator: str = "Exists"
    value: str | None = None
    effect: str | None = None


class Claim(BaseModel):
    """A volume claim that the pods of runs have.

    Attributes:
        name: The PersistentVolumeClaim.
        path: Its folder in the pods.
        read_only: Whether it is only read there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    path: str
    read_only: bool = False

    @field_validator("path")
    @classmethod
    def _is_free(cls, path: str) -> str:
        if not path.startswith("/") or ".." in path or path.strip("/").partition("/")[0] in _TAKEN:
            raise InvalidInputError(
                f"claim path {path!r} is not usable: take an absolute one like /data, not below "
                f"{', '.join(f'/{name}' for name in _TAKEN if name)}",
                field="path",
            )
        return path


class DriverConfig(BaseModel):
    """Whom the pods run as that drive runs in the cluster, for workspaces in an object store.

    Attributes:
        service_account: Its name.
        secret: A Secret whose entries are the environment variables with which the store is opened; none where the
            service account has an identity of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    service_account: str
    secret: str | None = None

    @field_validator("service_account", "secret")
    @classmethod
    def _is_name(cls, name: str | None, info: object) -> str | None:
        return _checked_name(name, f"driver.{getattr(info, 'field_name', 'name')}")


class KubernetesConfig(TargetConfig):
    """A context, a namespace, and how pods run in it.

    Attributes:
        context: Context of the kubeconfig; its current one when left out.
        namespace: Namespace of all objects.
        create_namespace: Whether the namespace is made where there is none.
        service_account: Whom pods run as. They get none of its rights.
        pull_secrets: Secrets with the logins of registries that images are pulled from.
        settings: ConfigMaps whose entries are environment variables of runs.
        secret_settings: Secrets whose entries are environment variables of runs.
        claims: Volume claims that runs have.
        store: Volume claim for what runs read, and for outputs that nobody fetches meanwhile.
        driver: Who drives runs in the cluster; none where the machine that submits them does.
        declared_as: What the objects that a compute declares there are called.
        quota: What its namespace may hold at most, by resource, as far as the compute limits it.
        engine: What makes the pods of Horovod's runs: an Indexed `job`, or an `mpijob` of Kubeflow's MPI operator,
            where the cluster serves it. All other runs are Indexed Jobs.
        queue: Local queue of Kueue that jobs go through, where the cluster has it.
        priority_class: Kueue's WorkloadPriorityClass of jobs in the queue.
        queue_limits: The most of each resource that a run in the queue ever gets, where the program declares the queue;
            none where the cluster is to be asked.
        pool: What the pool is called that Karpenter makes machines of for its runs; none without one.
        node_selector: Labels that nodes must have.
        tolerations: Taints that pods put up with.
        pending_deadline: Seconds that pods may wait for a node and their image.
    """

    context: str | None = None
    namespace: str = "trainstack"
    create_namespace: bool = True
    service_account: str = "default"
    pull_secrets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    secret_settings: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    store: str | None = None
    driver: DriverConfig | None = None
    declared_as: str = ""
    quota: dict[str, str] = Field(default_factory=dict)
    engine: Literal["job", "mpijob"] = "job"
    queue: str | None = None
    priority_class: str | None = None
    queue_limits: dict[str, str] | None = None
    pool: str | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    pending_deadline: float = Field(default=1800.0, gt=0)

    @field_validator("namespace", "service_account", "queue", "store")
    @classmethod
    def _is_name(cls, name: str | None, info: object) -> str | None:
        return _checked_name(name, str(getattr(info, "field_name", "name")))

    @property
    def described(self) -> str:
        """It in a few words."""
        return f"namespace {self.namespace} of {self.context or 'the current context'}"


def _checked_name(name: str | None, field: str) -> str | None:
    if name is not None and not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{field} {name!r} is no name for Kubernetes: lower-case letters, digits and hyphens, at most 63",
            field=field,
        )
    return name
