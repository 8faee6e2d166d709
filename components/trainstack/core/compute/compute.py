"""Compute: what runs on, found or created, and its slots, one a node, that runs queue for.

A slot is a file that a supervisor holds a lock on: a killed supervisor gives its slots back at once.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from trainstack.core.compute import node_sizes
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import read_json, write_json
from trainstack.storage.object_store import checked_url
from trainstack.targets.base import Capacity, Target
from trainstack.targets.kubernetes.config import Cluster
from trainstack.targets.registry import Kind, open_target

Place: TypeAlias = tuple[str, str | None, str]
"""A target, which one, and where in it."""

PATIENCE_SECONDS = 3.0
"""How long a preview waits for a place that is far away."""


class ComputeSpec(BaseModel):
    """What a compute is asked to be.

    Attributes:
        name: Its name in the workspace.
        target: Where its nodes are: `local` is this machine, `docker` an engine, a container a node, `kubernetes` a
            cluster, a pod a node.
        docker_host: The engine's address, for `docker`, and for `kubernetes` that of the engine that makes images; none
            takes the one that DOCKER_HOST names where it is used.
        kubernetes: Which cluster and where in it, for `kubernetes`; none takes the current context.
        object_store: The workspace's, which code, data and outputs of pods pass through; none streams them.
        vm_size: A size that says what one node holds; none shares the machine evenly between `max_nodes`.
        min_nodes: Nodes that stay up when idle; where nodes cost nothing it is only kept.
        max_nodes: Nodes that may be busy at once.
        priority: `dedicated`, or `low` for nodes that may be taken away.
        idle_seconds_before_scaledown: Seconds until an idle node goes; on `local` and `docker` it goes at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    target: Kind = "local"
    docker_host: str | None = None
    kubernetes: Cluster | None = None
    object_store: str | None = None
    vm_size: str | None = None
    min_nodes: int = Field(default=0, ge=0)
    max_nodes: int = Field(default=1, ge=1)
    priority: Literal["dedicated", "low"] = "dedicated"
    idle_seconds_before_scaledown: int = Field(default=1800, ge=0)


def target_of(spec: ComputeSpec) -> Target:
    """The target that a compute means; it reaches nobody yet."""
    return open_target(
        spec.target,
        docker_host=spec.docker_host,
        cluster=spec.kubernetes,
        low_priority=spec.priority == "low",
        object_store=spec.object_store,
    )


def place_of(spec: ComputeSpec) -> Place:
    """What tells the place of a compute from others, whatever its sizes."""
    if spec.target == "docker":
        return spec.target, spec.docker_host, ""
    if spec.target == "kubernetes":
        cluster = spec.kubernetes or Cluster()
        # What one engine has made, the other does not look for.
        return spec.target, cluster.context, f"{cluster.namespace} {cluster.engine}"
    return spec.target, None, ""


def holding(spec: ComputeSpec, *, seconds: float | None = None) -> Capacity | None:
    """What the whole place of a compute holds, asked once in this process; none where it grows as needed.

    Args:
        spec: The compute.
        seconds: How long to wait for an answer; without end when left out.

    Raises:
        TrainstackError: It does not answer, or not in that time.
    """
    key = place_of(spec)
    if key not in _ANSWERS and spec.target == "local":
        # The kernel answers at once.
        _ANSWERS[key] = target_of(spec).capacity()
    if key not in _ANSWERS:
        answer: queue.SimpleQueue[Capacity | TrainstackError | None] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answer.put(target_of(spec).capacity())
            except TrainstackError as exc:
                answer.put(exc)

        threading.Thread(target=ask, daemon=True, name="capacity").start()
        try:
            found = answer.get(timeout=seconds)
        except queue.Empty as exc:
            raise TrainstackError(f"compute {spec.name!r}: {spec.target} did not answer within {seconds:g} s") from exc
        if isinstance(found, TrainstackError):
            raise found
        _ANSWERS[key] = found
    return _ANSWERS[key]


_ANSWERS: dict[Place, Capacity | None] = {}


def node_capacity(spec: ComputeSpec, holds: Capacity | None = None) -> Capacity:
    """What one node of `spec` holds.

    Args:
        spec: The compute.
        holds: What the place holds; asked when left out.

    Raises:
        InvalidInputError: The place does not hold `max_nodes` such nodes.
        TrainstackError: The place does not answer.
    """
    check(spec)
    if holds is None and spec.target != "kubernetes":
        holds = holding(spec)
    if spec.vm_size is None:
        if holds is None:
            raise InvalidInputError(
                f"compute {spec.name!r} is on {spec.target}, which grows as needed: say with vm_size what a node holds",
                field="vm_size",
            )
        if spec.max_nodes > holds.cpus:
            raise InvalidInputError(
                f"max_nodes {spec.max_nodes} is more than the {holds.cpus} CPUs of {_place(spec)}: "
                "take at most one a CPU",
                field="max_nodes",
            )
        return Capacity(
            cpus=holds.cpus // spec.max_nodes,
            memory_gib=round(holds.memory_gib / spec.max_nodes, 1),
            gpus=(holds.gpus or 0) // spec.max_nodes,
        )
    size = node_sizes.lookup(spec.vm_size)
    node = Capacity(cpus=size.cpus, memory_gib=size.memory_gib, gpus=size.gpus)
    if holds is None:
        return node
    fits = min(
        holds.cpus // size.cpus,
        int(holds.memory_gib // size.memory_gib),
        holds.gpus // size.gpus if size.gpus and holds.gpus is not None else spec.max_nodes,
    )
    if spec.max_nodes > fits:
        there = f"{holds.cpus} CPUs, {holds.memory_gib:g} GiB"
        there += "" if holds.gpus is None else f", {holds.gpus} GPUs"
        raise InvalidInputError(
            f"max_nodes {spec.max_nodes} of {spec.vm_size} ({size.cpus} CPUs, {size.memory_gib:g} GiB, {size.gpus} GPUs"
            f" each) is more than {_place(spec)} holds ({there}): "
            f"take {f'at most {fits}' if fits else 'a smaller size or none'}",
            field="max_nodes",
        )
    return node


def check(spec: ComputeSpec) -> None:
    """Refuse what cannot be, asking nobody.

    Raises:
        InvalidInputError: A name, number, size or address is not usable.
    """
    checked_name(spec.name, "compute")
    if spec.min_nodes > spec.max_nodes:
        raise InvalidInputError(
            f"min_nodes {spec.min_nodes} is over max_nodes {spec.max_nodes}: lower one or raise the other",
            field="min_nodes",
        )
    if spec.vm_size is not None:
        node_sizes.lookup(spec.vm_size)
    if spec.docker_host and spec.target == "local":
        raise InvalidInputError("docker_host is for target 'docker', not 'local'", field="docker_host")
    if spec.object_store and spec.target == "kubernetes":
        if spec.kubernetes and spec.kubernetes.store:
            raise InvalidInputError(
                f"compute {spec.name!r} has a store of its own, and its workspace an object store: give one of them",
                field="store",
            )
        checked_url(spec.object_store)
    if spec.kubernetes and spec.target != "kubernetes":
        raise InvalidInputError(f"kubernetes is for target 'kubernetes', not {spec.target!r}", field="kubernetes")


def _place(spec: ComputeSpec) -> str:
    return "this machine" if spec.target == "local" else f"the machine of {spec.docker_host or 'the Docker engine'}"


def ensure(workspace: Workspace, spec: ComputeSpec) -> bool:
    """Find the compute or create it, and keep what it is now asked to be.

    Returns:
        Whether it was there already.
    """
    node_capacity(spec)
    record = workspace.compute(spec.name) / "compute.json"
    found = record.is_file()
    if not found or read_json(record) != spec.model_dump(mode="json"):
        write_json(record, spec.model_dump(mode="json"))
    return found


@contextlib.contextmanager
def slots(
    workspace: Workspace,
    spec: ComputeSpec,
    count: int,
    waiting: Callable[[str], None],
    stopped: Callable[[], bool],
    *,
    patient: bool = True,
) -> Generator[list[int]]:
    """Hold `count` of the compute's nodes, waiting in line until they are free.

    Args:
        workspace: The workspace the compute is in.
        spec: The compute.
        count: Nodes needed.
        waiting: Told, in a few words, whenever what is waited for changes.
        stopped: Asked while waiting; true ends the wait.
        patient: Whether to wait. A run whose nodes work already only takes what is free.

    Yields:
        The numbers of the nodes held, empty when `stopped` said so.

    Raises:
        TrainstackError: The compute will never have so many.
    """
    if count > spec.max_nodes:
        raise TrainstackError(
            f"{count} nodes asked of compute {spec.name!r}, which has at most {spec.max_nodes}: raise its max_nodes"
        )
    folder = workspace.compute(spec.name) / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    reason = ""
    slots: dict[int, contextlib.ExitStack] = {}
    try:
        while not stopped():
            # All nodes or none, one taker at a time, so that two runs never wait for each other's half.
            with locks.try_exclusive(folder / "turn") as my_turn:
                if my_turn:
                    slots = _take_free(folder, spec.max_nodes)
                    if len(slots) >= count or not patient:
                        _release(slots, sorted(slots)[count:])
                        break
                    now = f"waiting for {count} of {spec.max_nodes} nodes of {spec.name}: {len(slots)} free"
                    _release(slots, list(slots))
                else:
                    now = f"waiting in line for {spec.name}"
            if now != reason:
                waiting(reason := now)
            time.sleep(0.2)
        yield sorted(slots)
    finally:
        _release(slots, list(slots))


def _take_free(folder: Path, limit: int) -> dict[int, contextlib.ExitStack]:
    """Lock the slots that are free, and return them by their numbers."""
    slots: dict[int, contextlib.ExitStack] = {}
    for number in range(limit):
        slot = contextlib.ExitStack()
        if slot.enter_context(locks.try_exclusive(folder / str(number))):
            slots[number] = slot
        else:
            slot.close()
    return slots


def _release(slots: dict[int, contextlib.ExitStack], numbers: Iterable[int]) -> None:
    for number in numbers:
        slots.pop(number).close()
