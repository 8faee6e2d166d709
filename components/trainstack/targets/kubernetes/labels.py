"""What a run's objects are called on a cluster, and the labels and annotations that say what they are."""

from __future__ import annotations

import re
from typing import Any

from trainstack.errors import InvalidInputError
from trainstack.targets.base import RunRef
from trainstack.targets.kubernetes.api.json_objects import part

WORKSPACE, RUN, ATTEMPT = "trainstack.workspace", "trainstack.run", "trainstack.attempt"
NAME, STACK = "trainstack.name", "trainstack.stack"
GIVEN = "trainstack.given"
"""Annotation of a job all of whose nodes have code and data: from here on they may write something. Its value is the
uids of their pods."""
HANDED = "trainstack.handed-over"
"""Annotation of a job all of whose nodes have what they need to go on without anybody."""
HOME = "trainstack.home"
"""Annotation of a job everything of which is home."""
ROLE = "trainstack.role"
"""Label of what a run has beside its nodes."""
MANAGED = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
"""Label that the pods of one service have in common, and no others in their namespace."""
INDEX = "batch.kubernetes.io/job-completion-index"
MPI_INDEX, MPI_ROLE = "training.kubeflow.org/replica-index", "training.kubeflow.org/job-role"
"""Labels that the MPI operator gives its pods."""
QUEUE = "kueue.x-k8s.io/queue-name"
NODE, COURIER = "node", "courier"
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


def declared(what: str, name: str, project: str, stack: str, limit: int = 52) -> str:
    """What the declared objects of a component are called.

    Args:
        what: The component's kind, for the error.
        name: The component's name.
        project: The Pulumi project.
        stack: The stack.
        limit: Most characters.

    Raises:
        InvalidInputError: The cluster cannot have such a name.
    """
    made = re.sub(r"[^a-z0-9-]+", "-", f"{name}-{project}-{stack}".lower()).strip("-")
    if not re.match(r"[a-z]", made):
        raise InvalidInputError(f"{what} {name!r}: on a cluster its name begins with a letter", field="name")
    if len(made) > limit:
        raise InvalidInputError(
            f"{what} {name!r}: {made} is longer than the {limit} characters of a cluster: shorten one of them",
            field="name",
        )
    return made


def waits(thing: dict[str, Any]) -> str:
    """What a suspended job waits for."""
    found = part(thing, "metadata", "labels").get(QUEUE)
    return f"it waits in queue {found}" if found else "its job is suspended"


def value(text: str) -> str:
    """Any text as a label's value."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:63].strip("-_.")
