"""The objects of a run as the API server gets them: one Indexed Job, one headless Service.

A pod has two containers on common volumes: the node, and a sidecar that receives its inputs, sends its outputs, and
keeps the pod until all of them are fetched. No secret, no right on the API, no root. Pure functions.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from trainstack.targets.base import Capacity, Layout, NodeGroupSpec, RunRef, Runtime
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.exec import script
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects import gpu_labels

USER = 10001
INPUTS = PurePosixPath("/trainstack/inputs")
WRITABLE = PurePosixPath("/trainstack/writable")
FIFO = "/trainstack/variables/line"
CONTROL = "/trainstack/sidecar"
STORE = PurePosixPath("/trainstack/store")
"""Where sidecars have the claim that is a store; nodes have it not."""
LAYOUT = Layout.below(INPUTS, WRITABLE)
KEEP_SECONDS = 24 * 3600
"""How long a pod waits for its inputs to be sent, or its outputs to be fetched."""
NUMBER = "JOB_COMPLETION_INDEX"
"""Variable of a pod with its node's number, set by Kubernetes in those of an Indexed Job."""
_OWN_NUMBER = f"$({NUMBER})"
POD_RIGHTS = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    # A large volume is not gone through for every pod that has it.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Who the processes of a pod are."""
CONTAINER_RIGHTS = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""What the processes of a container may."""
_MINUTE = 60
SIDECAR_RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
"""What the sidecar of a pod asks for beside its node."""
_SPOT = (
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("karpenter.sh/capacity-type", "spot"),
)
"""Labels of spot nodes, which are the taints of such pools as well: GKE, AKS, EKS, Karpenter."""


def service(ref: RunRef, group: NodeGroupSpec, owner: Manifest) -> Manifest:
    """The headless Service by which nodes call each other; `owner` is a reference to the job."""
    name = labels.name(ref)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": attempt_labels(ref, group), "ownerReferences": [owner]},
        "spec": {
            "clusterIP": "None",
            "selector": {labels.WORKSPACE: ref.workspace, labels.RUN: ref.id},
            # Nodes meet before anything in them is ready.
            "publishNotReadyAddresses": True,
        },
    }


def job(ref: RunRef, group: NodeGroupSpec, config: KubernetesConfig, *, grace: float, low_priority: bool) -> Manifest:
    """The Job of an attempt.

    Args:
        ref: The run.
        group: Its nodes.
        config: Where and as whom its pods run.
        grace: Seconds that a script has for a checkpoint when its node is taken away.
        low_priority: Whether they may run where machines can be taken away.
    """
    run_labels = attempt_labels(ref, group)
    queue = labels.queued(config.queue, config.priority_class)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": labels.name(ref), "labels": run_labels | queue},
        "spec": {
            "completionMode": "Indexed",
            "completions": group.node_count,
            "parallelism": group.node_count,
            # Another try is another attempt: it must first know what this one has saved.
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            "template": {
                "metadata": {"labels": run_labels},
                "spec": pod(ref, group, config, grace=grace, low_priority=low_priority),
            },
        },
    }


def attempt_labels(ref: RunRef, group: NodeGroupSpec) -> dict[str, str]:
    """Labels of everything of an attempt."""
    run_labels = {
        labels.MANAGED: "trainstack",
        labels.WORKSPACE: ref.workspace,
        labels.RUN: ref.id,
        labels.ATTEMPT: str(group.attempt),
    }
    return run_labels | {
        key: labels.value(text) for key, text in ((labels.NAME, group.name), (labels.STACK, group.stack)) if text
    }


def account(config: KubernetesConfig) -> Manifest:
    """Whom a pod runs as, without its rights, and by which logins its images are pulled."""
    secrets = [{"name": name} for name in config.pull_secrets]
    return {
        "serviceAccountName": config.service_account,
        "automountServiceAccountToken": False,
        **({"imagePullSecrets": secrets} if secrets else {}),
    }


def ended(attempt: int, index: int | str) -> str:
    """The file among those of a run in which a node says with which code its agent ended."""
    return f"nodes/ended-{attempt}-{index}"


def resources(holds: Capacity) -> Manifest:
    """Requests and limits of a node: what the size leaves, less what its sidecar asks for."""
    memory = int(holds.memory_gib * 1024)
    gpus = {gpu_labels.resource(holds.gpu_vendor): str(holds.gpus)} if holds.gpus else {}
    cpus = round((holds.cpus - holds.reserved_cpus) * 1000)
    return {
        "requests": {"cpu": f"{cpus - 10}m", "memory": f"{max(memory - 32, 16)}Mi", **gpus},
        "limits": {"cpu": str(holds.cpus), "memory": f"{memory}Mi", **gpus},
    }


def pod(ref: RunRef, group: NodeGroupSpec, config: KubernetesConfig, *, grace: float, low_priority: bool) -> Manifest:
    """The specification of a node's pod, whatever makes it; arguments as for `job`."""
    memory = int(group.holds.memory_gib * 1024)
    spec: Manifest = {
        "restartPolicy": "Never",
        "subdomain": labels.name(ref),
        **account(config),
        **node_selector(config),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": int(grace) + _MINUTE,
        "securityContext": POD_RIGHTS,
        "containers": [_node(group, config), _sidecar(ref, group, config)],
        "volumes": [
            {"name": "inputs", "emptyDir": {}},
            {"name": "writable", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "variables", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "sidecar", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{max(memory // 2, 1)}Mi"}},
            *(
                {"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim.name}}
                for number, claim in enumerate(config.claims)
            ),
            *store_volume(config),
        ],
    }
    tolerated = [each.model_dump(exclude_none=True) for each in config.tolerations]
    if group.holds.gpus:
        tolerated.append(
            {"key": gpu_labels.resource(group.holds.gpu_vendor), "operator": "Exists", "effect": "NoSchedule"}
        )
    affinity: Manifest = gpu_labels.required(group.holds.gpu) if group.holds.gpu else {}
    if low_priority:
        tolerated += [{"key": key, "operator": "Equal", "value": text} for key, text in _SPOT]
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {
                "weight": 100,
                "preference": {"matchExpressions": [{"key": key, "operator": "In", "values": [text]}]},
            }
            for key, text in _SPOT
        ]
    if affinity:
        spec["affinity"] = {"nodeAffinity": affinity}
    if tolerated:
        spec["tolerations"] = tolerated
    return spec


def _node(group: NodeGroupSpec, config: KubernetesConfig) -> Manifest:
    python = group.runtime.python
    log = "run.txt" if group.node_count == 1 else f"node-{_OWN_NUMBER}.txt"
    agent = [
        "-m",
        "trainstack.agent.container_entrypoint",
        "--log",
        f"{LAYOUT.logs}/{log}",
        "--plan",
        f"{INPUTS}/launch.json",
    ]
    return {
        **container(group.runtime, labels.NODE),
        "args": [
            *("-c", script("entrypoint"), FIFO, str(INPUTS / "launch.json")),
            *(str(WRITABLE / ended(group.attempt, _OWN_NUMBER)), str(KEEP_SECONDS)),
            *(python, *agent, "--node", _OWN_NUMBER),
        ],
        "resources": resources(group.holds),
        # What the run itself is given comes over these.
        "envFrom": [
            *({"configMapRef": {"name": name}} for name in config.settings),
            *({"secretRef": {"name": name}} for name in config.secret_settings),
        ],
        "volumeMounts": [
            {"name": "inputs", "mountPath": str(INPUTS), "readOnly": True},
            # Scripts write beside their code; what else is given to the pod its sidecar trusts.
            {"name": "inputs", "mountPath": str(LAYOUT.code), "subPath": LAYOUT.code.name},
            {"name": "writable", "mountPath": str(WRITABLE)},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "variables", "mountPath": str(PurePosixPath(FIFO).parent)},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
            *(
                {"name": f"claim-{number}", "mountPath": claim.path, "readOnly": claim.read_only}
                for number, claim in enumerate(config.claims)
            ),
        ],
    }


def _sidecar(ref: RunRef, group: NodeGroupSpec, config: KubernetesConfig) -> Manifest:
    own = [str(store_folder(ref) / journal(group.attempt, _OWN_NUMBER))] if config.store else []
    return {
        **container(group.runtime, labels.SIDECAR),
        "args": ["-c", script("sidecar"), CONTROL, str(KEEP_SECONDS), str(WRITABLE), *own],
        "resources": SIDECAR_RESOURCES,
        "volumeMounts": [
            {"name": "inputs", "mountPath": str(INPUTS)},
            {"name": "writable", "mountPath": str(WRITABLE)},
            {"name": "sidecar", "mountPath": CONTROL},
            *store_mount(config),
        ],
    }


def store_folder(ref: RunRef) -> PurePosixPath:
    """A run's folder on the claim that is a store."""
    return STORE / "runs" / ref.workspace / ref.id


def journal(attempt: int, index: int | str) -> str:
    """The file of that folder in which a node's sidecar writes outputs that nobody fetches."""
    return f"{attempt}-{index}.tar"


def node_selector(config: KubernetesConfig) -> Manifest:
    """Which machines a pod may be on."""
    return {"nodeSelector": dict(config.node_selector)} if config.node_selector else {}


def scheduling(config: KubernetesConfig) -> Manifest:
    """Which machines a pod may be on, and which of their taints it puts up with."""
    tolerated = [each.model_dump(exclude_none=True) for each in config.tolerations]
    return {**node_selector(config), **({"tolerations": tolerated} if tolerated else {})}


def store_volume(config: KubernetesConfig) -> list[Manifest]:
    """The volume of a pod that has the claim that is a store."""
    return [{"name": "store", "persistentVolumeClaim": {"claimName": config.store}}] if config.store else []


def store_mount(config: KubernetesConfig) -> list[Manifest]:
    """Where its sidecar has it."""
    return [{"name": "store", "mountPath": str(STORE)}] if config.store else []


def container(runtime: Runtime, name: str) -> Manifest:
    """What all containers of a run have alike."""
    python = runtime.python
    environment = {
        "PATH": f"{PurePosixPath(python).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": str(INPUTS / "agent"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # The user has no entry in the image, so it is told who it is and where it may write.
        "HOME": "/tmp",  # noqa: S108
        "USER": "trainstack",
        "LOGNAME": "trainstack",
        # MLflow looks for a commit, which no container has.
        "GIT_PYTHON_REFRESH": "quiet",
    }
    return {
        "name": name,
        "image": runtime.image,
        "command": [python],
        # What its first process says last is the reason that the cluster tells of a bad end.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": key, "value": text} for key, text in environment.items()],
        "securityContext": CONTAINER_RIGHTS,
    }
