"""What a run's objects are called on a cluster, and the labels and annotations that say what they are."""

from __future__ import annotations

import re

from trainstack.errors import InvalidInputError
from trainstack.targets.base import RunRef
from trainstack.targets.kubernetes.manifest import Manifest, part

WORKSPACE, RUN, ATTEMPT = "trainstack.workspace", "trainstack.run", "trainstack.attempt"
NAME, STACK = "trainstack.name", "trainstack.stack"
INPUTS_SENT = "trainstack.inputs-sent"
"""Annotation of a job all of whose nodes have code and data: from here on they may write outputs. Its value is the
uids of their pods."""
ENV_SENT = "trainstack.env-sent"
"""Annotation of a job all of whose nodes have their variables: they need nobody any more."""
OUTPUTS_SYNCED = "trainstack.outputs-synced"
"""Annotation of a job all of whose outputs are fetched."""
ROLE = "trainstack.role"
"""Label of what a run has beside its nodes."""
DRIVER = "trainstack.driver"
"""Label of what drives a run in the cluster, the run's id. It has no label of the run, as it outlives attempts."""
MANAGED = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
"""Label that the pods of one service have in common, and no others in their namespace."""
INDEX = "batch.kubernetes.io/job-completion-index"
MPI_INDEX, MPI_ROLE = "training.kubeflow.org/replica-index", "training.kubeflow.org/job-role"
"""Labels that the MPI operator gives its pods."""
QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
NODE, SIDECAR = "node", "sidecar"
"""Names of a pod's containers."""


def name(ref: RunRef) -> str:
    """The name of a run's job and service."""
    return f"trainstack-{ref.workspace}-{ref.id}".lower()[:58].rstrip("-")


def of_run(ref: RunRef) -> str:
    """The selector for everything of a run."""
    return f"{WORKSPACE}={ref.workspace},{RUN}={ref.id}"


def of_nodes(ref: RunRef) -> str:
    """The selector for what makes a run's nodes, and for these."""
    return f"{of_run(ref)},!{ROLE}"


def declared(kind: str, name: str, project: str, stack: str, limit: int = 52) -> str:
    """What the declared objects of a component are called.

    Args:
        kind: The component's kind, for the error.
        name: The component's name.
        project: The Pulumi project.
        stack: The stack.
        limit: Most characters.

    Raises:
        InvalidInputError: The cluster cannot have such a name.
    """
    object_name = re.sub(r"[^a-z0-9-]+", "-", f"{name}-{project}-{stack}".lower()).strip("-")
    if not re.match(r"[a-z]", object_name):
        raise InvalidInputError(f"{kind} {name!r}: on a cluster its name begins with a letter", field="name")
    if len(object_name) > limit:
        raise InvalidInputError(
            f"{kind} {name!r}: {object_name} is longer than the {limit} characters of a cluster: shorten one of them",
            field="name",
        )
    return object_name


def queued(queue: str | None, priority: str | None) -> dict[str, str]:
    """Labels of a job that goes through a queue of Kueue; none without one."""
    if queue is None:
        return {}
    return {QUEUE: queue, **({PRIORITY: priority} if priority else {})}


def suspended_reason(job: Manifest) -> str:
    """What a suspended job waits for."""
    queue = part(job, "metadata", "labels").get(QUEUE)
    return f"it waits in queue {queue}" if queue else "its job is suspended"


def value(text: str) -> str:
    """Any text as a label's value."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:63].strip("-_.")
