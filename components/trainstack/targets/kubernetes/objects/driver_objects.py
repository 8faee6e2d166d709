"""The objects of the pod that drives a run in the cluster, and of whom it runs as. Pure functions.

A Job of one pod for each run: it is replaced when it dies, and finds in the store how far the run is. It has the rights
in its namespace that a run needs, and no others; the run's own pods have none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from trainstack.targets.base import DriverSpec, RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import IN_CLUSTER
from trainstack.targets.kubernetes.api.exec import script
from trainstack.targets.kubernetes.config import DriverConfig, KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects.run_objects import CONTAINER_RIGHTS, POD_RIGHTS, scheduling

SECRETS = "/trainstack/secrets"
SECRETS_FILE = "variables.json"
_CACHE = "/trainstack/cache"
_RESTARTS = 10
_KEEP_SECONDS = 3600
_RULES: tuple[Manifest, ...] = (
    {
        "apiGroups": [""],
        "resources": ["pods", "services"],
        "verbs": ["get", "list", "watch", "create", "delete", "deletecollection"],
    },
    # The API server asks for `get` where an exec is opened as a web socket, for `create` where it is posted.
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
    {
        "apiGroups": [""],
        "resources": ["persistentvolumeclaims", "resourcequotas", "limitranges"],
        "verbs": ["get", "list"],
    },
    {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete", "deletecollection"],
    },
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create"]},
)
_MPI_RULE: Manifest = {
    "apiGroups": ["kubeflow.org"],
    "resources": ["mpijobs"],
    "verbs": ["get", "list", "watch", "create", "patch", "delete", "deletecollection"],
}
_QUEUE_RULE: Manifest = {
    "apiGroups": ["kueue.x-k8s.io"],
    "resources": ["workloads", "localqueues"],
    "verbs": ["get", "list", "watch"],
}


def account_name(title: str) -> str:
    """What the declared service account of drivers, its role and its binding are called.

    Args:
        title: What the compute's objects are called.
    """
    return f"{title}-driver"


def account(
    title: str, config: KubernetesConfig, stack: str, annotations: Mapping[str, Any], *, declare_account: bool
) -> list[Manifest]:
    """Whom drivers run as, and what they may do in the namespace.

    Args:
        title: What the compute's objects are called.
        config: The cluster, with its `driver`.
        stack: The Pulumi stack that declares them.
        annotations: Of the service account, by which a cloud gives it an identity of its own.
        declare_account: Whether the service account is made; otherwise it is there, and only given the role.
    """
    name, namespace = account_name(title), config.namespace
    who = config.driver.service_account if config.driver else name
    metadata: Manifest = {
        "name": name,
        "namespace": namespace,
        "labels": {labels.MANAGED: "trainstack", labels.STACK: labels.value(stack)},
    }
    rbac = "rbac.authorization.k8s.io"
    rules = [
        *_RULES,
        *([_MPI_RULE] if config.engine == "mpijob" else []),
        *([_QUEUE_RULE] if config.queue is not None else []),
    ]
    objects: list[Manifest] = []
    if declare_account:
        pulls = [{"name": secret} for secret in config.pull_secrets]
        own: Manifest = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {**metadata, "annotations": dict(annotations)} if annotations else metadata,
            "automountServiceAccountToken": False,
        }
        objects.append(own | ({"imagePullSecrets": pulls} if pulls else {}))
    return [
        *objects,
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": who, "namespace": namespace}],
        },
    ]


def job_name(ref: RunRef) -> str:
    """What the driver's Job of a run is called."""
    return f"{labels.name(ref)[:50].rstrip('-')}-driver"


def job(ref: RunRef, spec: DriverSpec, config: KubernetesConfig) -> Manifest:
    """The Job of a run's driver.

    Args:
        ref: The run.
        spec: What it runs.
        config: Where, with its `driver`.
    """
    driver = config.driver or DriverConfig(service_account=config.service_account)
    driver_labels = {labels.MANAGED: "trainstack", labels.DRIVER: ref.id}
    if spec.stack:
        driver_labels[labels.STACK] = labels.value(spec.stack)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(ref), "labels": driver_labels},
        "spec": {
            "backoffLimit": _RESTARTS,
            # A node that is drained, or a pod that is evicted, says nothing of the driver.
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": _KEEP_SECONDS,
            "template": {"metadata": {"labels": driver_labels}, "spec": _pod(ref, spec, config, driver)},
        },
    }


def secret(ref: RunRef, owner: str, variables: str) -> Manifest:
    """The Secret with the run's secret variables, which goes with the Job.

    Args:
        ref: The run.
        owner: The uid of the Job.
        variables: They, as a JSON object.
    """
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": job_name(ref), "uid": owner}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": job_name(ref),
            "labels": {labels.MANAGED: "trainstack", labels.DRIVER: ref.id},
            "ownerReferences": [reference],
        },
        "type": "Opaque",
        "data": {SECRETS_FILE: base64.b64encode(variables.encode()).decode()},
    }


def _pod(ref: RunRef, spec: DriverSpec, config: KubernetesConfig, driver: DriverConfig) -> Manifest:
    pulls = [{"name": name} for name in config.pull_secrets]
    environment = {
        IN_CLUSTER: "1",
        "TRAINSTACK_CACHE": _CACHE,
        "HOME": _CACHE,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": driver.service_account,
        "automountServiceAccountToken": True,
        **({"imagePullSecrets": pulls} if pulls else {}),
        **scheduling(config),
        "enableServiceLinks": False,
        # The nodes go on without it; all that it has to do is to push what it has.
        "terminationGracePeriodSeconds": 30,
        "securityContext": POD_RIGHTS,
        "containers": [
            {
                "name": "driver",
                "image": spec.image,
                "command": [spec.python, "-c", script("driver"), spec.address, spec.package, ref.id],
                "env": [{"name": name, "value": text} for name, text in environment.items()],
                "envFrom": [{"secretRef": {"name": driver.secret}}] if driver.secret else [],
                "resources": {
                    # It mostly waits; asked for, even a little CPU would keep it from a cluster that its nodes fill.
                    "requests": {"cpu": "0", "memory": "256Mi"},
                    "limits": {"cpu": "1", "memory": "1Gi"},
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": CONTAINER_RIGHTS,
                "volumeMounts": [
                    {"name": "cache", "mountPath": _CACHE},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                    {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "cache", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "secrets", "secret": {"secretName": job_name(ref), "defaultMode": 0o440}},
        ],
    }
