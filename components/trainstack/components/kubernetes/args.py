"""A program's arguments about a cluster and a namespace of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi

from trainstack.components.declaration import checked

if TYPE_CHECKING:
    from trainstack.components.kubernetes.queue import Queue


@checked
@dataclass(kw_only=True)
class KubernetesVolume:
    """A volume claim.

    Attributes:
        name: A PersistentVolumeClaim that is there; one is declared when left out.
        size_gib: GiB that the declared one asks for.
        storage_class: Its class; the cluster's default when left out.
        access_mode: Who may have it at once: `ReadWriteMany` for runs on several machines.
        keep: Whether `pulumi destroy` leaves the declared one, with its data, on the cluster.
    """

    name: str | None = None
    size_gib: float | None = None
    storage_class: str | None = None
    access_mode: str = "ReadWriteMany"
    keep: bool = False


@checked
@dataclass(kw_only=True)
class KubernetesClaim(KubernetesVolume):
    """A volume claim that the scripts of a compute's runs see. It is declared or named as any `KubernetesVolume`.

    Attributes:
        path: Its folder in the pods, such as `/data`.
        read_only: Whether runs only read it.
    """

    path: str
    read_only: bool = False


@checked
@dataclass(kw_only=True)
class KubernetesDriver:
    """Who drives runs in the cluster, so that no machine outside has to stay; for a workspace in an object store.

    It opens the store by an identity that the cloud gives its service account, or by a Secret of yours.

    Attributes:
        secret: A Secret that is there in the namespace, whose entries are environment variables that open the store:
            AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, say.
        service_account: One that is there, such as one that your cloud knows; one is declared when left out. Either
            gets a role in the namespace: to make, watch and remove the jobs, pods and services of runs.
        annotations: Of the declared service account, by which a cloud knows it: `eks.amazonaws.com/role-arn`,
            `iam.gke.io/gcp-service-account`, `azure.workload.identity/client-id`.
    """

    secret: str | None = None
    service_account: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


@checked
@dataclass(kw_only=True)
class KarpenterPool:
    """Machines that Karpenter makes for the runs of one compute and removes again; nothing else goes there.

    The compute's `max_nodes` limits their CPUs and GPUs together, an empty one goes after
    `idle_seconds_before_scaledown`, `priority` says whether they are spot machines, and `min_nodes` stay (Karpenter's
    static capacity).

    Attributes:
        node_class: The cloud's node class that is there: `EC2NodeClass/default`, `AKSNodeClass/default`, or
            GROUP/KIND/NAME.
        sizes: The machines that it may take; the compute's `vm_size`, else any on which a node fits, when left out.
        zones: The zones that they may be in; any when left out.
        requirements: Values by label that machines must have one of: `{"karpenter.k8s.aws/instance-family": ["g6"]}`.
    """

    node_class: str
    sizes: Sequence[str] = ()
    zones: Sequence[str] = ()
    requirements: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])


@checked
@dataclass(kw_only=True)
class KubernetesArgs:
    """A cluster and a namespace of it. All but the settings' values are plain: what is declared there depends on them.

    Attributes:
        context: Context of the kubeconfig; its current one when left out.
        namespace: Namespace of all objects; found, or created.
        create_namespace: Whether it is created where there is none, and goes again with the stack. Otherwise it is
            taken for there, and the program asks nobody for it.
        service_account: Whom pods run as; one without any rights is declared when left out. Pods get no token.
        quota: What the namespace may hold at most, by resource as Kubernetes calls it: `{"requests.cpu": "16"}`.
        pull_secrets: Secrets that are there with logins of registries. The workspace's registry has one of its own
            when its login is given.
        settings: Environment variables of the runs, in a ConfigMap.
        secret_settings: Environment variables of the runs, in a Secret.
        claims: Volumes that the runs have.
        store: A volume that code, data and checkpoints of runs are brought to once and read from, and that keeps
            outputs of pods that nobody fetches. Scripts do not see it. Instead of the workspace's object store.
        driver: Who drives runs in the cluster, for a workspace in an object store; the machine that runs
            `pulumi up` drives them when left out.
        engine: What makes the pods of Horovod's runs: an Indexed `job`, or an `mpijob` of Kubeflow's MPI operator,
            where the cluster serves it. All other runs are Indexed Jobs.
        queue: The queue that jobs wait in for quota, all pods of a run or none: a `Queue`, or the name of a local queue
            of Kueue's that is there.
        priority_class: A priority of the `Queue`, or a WorkloadPriorityClass of Kueue's that is there.
        pool: Machines that Karpenter makes for the runs; the cluster's own when left out.
        node_selector: Labels that nodes must have.
        tolerations: Taints that pods put up with: `key`, `operator`, `value`, `effect` as Kubernetes has them.
        pending_deadline: Seconds that pods may wait for a node and their image.
    """

    context: str | None = None
    namespace: str = "trainstack"
    create_namespace: bool = True
    service_account: str | None = None
    quota: Mapping[str, str | int] = field(default_factory=dict[str, "str | int"])
    pull_secrets: Sequence[str] = ()
    settings: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, "pulumi.Input[str]"])
    secret_settings: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, "pulumi.Input[str]"])
    claims: Sequence[KubernetesClaim] = ()
    store: KubernetesVolume | None = None
    driver: KubernetesDriver | None = None
    engine: str = "job"
    queue: str | Queue | None = None
    priority_class: str | None = None
    pool: KarpenterPool | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: Sequence[Mapping[str, str]] = ()
    pending_deadline: float = 1800
