"""Horovod's runs as MPIJobs of Kubeflow's MPI operator (`kubeflow.org/v2beta1`), where a cluster serves them.

The operator makes keys, a list of hosts, a service, the workers, and, once these are ready, the launcher. Workers are
the pods that an Indexed Job would have, with an sshd of their own user in them; the launcher calls each by ssh, which
starts its agent, and stays on the line until that has ended. So it is the launcher's end that tells the operator how
the job ended, and a launcher that is lost calls again.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from trainstack.targets.base import NodeGroupSpec, RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.exec import script
from trainstack.targets.kubernetes.api.mpijobs import GROUP, PLURAL, VERSION, listed
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest, part
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.objects.run_network import isolate

LAUNCHER = "launcher"
_KEYS = "/trainstack/ssh"
_PORT = 2222
_FOLDER = str(PurePosixPath(run_objects.FIFO).parent)
_PASSWD = "trainstack.passwd"  # noqa: S105 (the name of an annotation)
_USERS = f"root:x:0:0::/root:/bin/sh\ntrainstack:x:{run_objects.USER}:{run_objects.USER}::/tmp:/bin/sh\n"
"""sshd and ssh work for nobody whom the image does not know."""


class MpiJob:
    """The MPIJob of a run."""

    launcher = LAUNCHER

    def __init__(self, api: KubernetesApi) -> None:
        """Work in the namespace of `api`."""
        self._api = api

    def submit(self, ref: RunRef, group: NodeGroupSpec, *, grace: float, low_priority: bool) -> None:
        """Make it and its network policy; the operator makes all else."""
        with self._api.errors("submitting the MPIJob"):
            made = self._api.custom.create_namespaced_custom_object(
                *(GROUP, VERSION, self._api.namespace, PLURAL),
                job(ref, group, self._api.config, grace=grace, low_priority=low_priority),
                _request_timeout=ANSWER_SECONDS,
            )
            name, uid = made["metadata"]["name"], made["metadata"]["uid"]
            owner = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "MPIJob", "name": name, "uid": uid}
            isolate(self._api, ref, group, owner)

    def host(self, ref: RunRef, index: int) -> str:
        """The worker's name in the operator's service."""
        return f"{labels.name(ref)}-worker-{index}.{labels.name(ref)}"

    def find(self, selector: str) -> Manifest | None:
        """The MPIJob that bears `selector`."""
        return next(iter(listed(self._api, selector)), None)

    def annotate(self, ref: RunRef, key: str, value: str = "true") -> None:
        """Note how far it is."""
        with self._api.errors("noting how far an MPIJob is"):
            self._api.custom.patch_namespaced_custom_object(
                *(GROUP, VERSION, self._api.namespace, PLURAL, labels.name(ref)),
                {"metadata": {"annotations": {key: value}}},
                _request_timeout=ANSWER_SECONDS,
            )

    def count(self, job: Manifest) -> int:
        """How many workers it has."""
        return int(part(job, "spec", "mpiReplicaSpecs", "Worker")["replicas"])

    def template(self, job: Manifest) -> Manifest:
        """Its workers."""
        return part(job, "spec", "mpiReplicaSpecs", "Worker", "template", "spec")

    def suspend_reason(self, job: Manifest) -> str:
        """Whether it is suspended, or nobody has taken it up."""
        if part(job, "spec", "runPolicy").get("suspend"):
            return labels.suspended_reason(job)
        return "" if part(job, "status") else "no MPI operator has taken it up: is the cluster's running?"


def job(ref: RunRef, group: NodeGroupSpec, config: KubernetesConfig, *, grace: float, low_priority: bool) -> Manifest:
    """The MPIJob of an attempt; arguments as for a Job.

    Args:
        ref: The run.
        group: Its nodes.
        config: Where and as whom its pods run.
        grace: Seconds that a script has for a checkpoint when its node is taken away.
        low_priority: Whether they may run where machines can be taken away.
    """
    run_labels = run_objects.attempt_labels(ref, group)
    queue = labels.queued(config.queue, config.priority_class)
    worker = run_objects.pod(ref, group, config, grace=grace, low_priority=low_priority)
    launcher = {key: value for key, value in worker.items() if key not in ("subdomain", "restartPolicy")}
    _serve(worker, group)
    launcher["containers"] = [_launcher(group)]
    launcher["volumes"] = [{"name": "tmp", "emptyDir": {}}, _users()]
    launcher["terminationGracePeriodSeconds"] = 1
    metadata = {"labels": run_labels, "annotations": {_PASSWD: _USERS}}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "MPIJob",
        "metadata": {"name": labels.name(ref), "labels": run_labels | queue},
        "spec": {
            "slotsPerWorker": 1,
            "launcherCreationPolicy": "WaitForWorkersReady",
            "sshAuthMountPath": _KEYS,
            # Workers stay until their outputs are fetched; a launcher that was taken away calls again.
            "runPolicy": {
                "cleanPodPolicy": "None",
                "ttlSecondsAfterFinished": run_objects.KEEP_SECONDS,
                "backoffLimit": 3,
            },
            "mpiReplicaSpecs": {
                "Launcher": {
                    "replicas": 1,
                    "restartPolicy": "Never",
                    "template": {"metadata": metadata, "spec": launcher},
                },
                "Worker": {
                    "replicas": group.node_count,
                    "restartPolicy": "Never",
                    "template": {"metadata": metadata, "spec": {k: v for k, v in worker.items() if k != "subdomain"}},
                },
            },
        },
    }


def _serve(worker: Manifest, group: NodeGroupSpec) -> None:
    """Make a Job's pod a worker: its node's first process serves ssh until it is called, and then is what it was."""
    node = worker["containers"][0]
    number = {"fieldRef": {"fieldPath": f"metadata.labels['{labels.MPI_INDEX}']"}}
    for each in worker["containers"]:
        each["env"] = [{"name": run_objects.NUMBER, "valueFrom": number}, *each["env"]]
    node["env"].append({"name": "TRAINSTACK_EXIT_CODE_READ", "value": f"{_FOLDER}/exit-code-read"})
    entrypoint = node["args"]
    node["args"] = ["-c", script("serve_ssh"), _FOLDER, _KEYS, str(_PORT), str(run_objects.KEEP_SECONDS)]
    node["args"] += [group.runtime.python, *entrypoint]
    node["volumeMounts"].append(_mount_users())
    worker["volumes"].append(_users())


def _launcher(group: NodeGroupSpec) -> Manifest:
    ended = str(run_objects.WRITABLE / run_objects.ended(group.attempt, "{}"))
    megabytes = 128 + 16 * group.node_count
    return {
        **run_objects.container(group.runtime, LAUNCHER),
        "args": [
            *("-c", script("launch_by_ssh"), "/etc/mpi/hostfile", _KEYS, str(_PORT), str(run_objects.KEEP_SECONDS)),
            *(group.runtime.python, "-c", script("worker_start"), _FOLDER, ended),
        ],
        "resources": {
            # It waits: nodes that just hold the workers hold it as well.
            "requests": {"cpu": "0", "memory": f"{megabytes // 2}Mi"},
            "limits": {"cpu": "500m", "memory": f"{megabytes}Mi"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, _mount_users()],  # noqa: S108
    }


def _users() -> Manifest:
    field = {"fieldPath": f"metadata.annotations['{_PASSWD}']"}
    return {"name": "users", "downwardAPI": {"items": [{"path": "passwd", "fieldRef": field}]}}


def _mount_users() -> Manifest:
    return {"name": "users", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True}
