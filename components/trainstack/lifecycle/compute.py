"""Compute: what runs on, found or created, and its slots, one a node, that runs queue for.

A slot is a file that a supervisor holds a lock on: a killed supervisor gives its slots back at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.lifecycle import sizes
from trainstack.lifecycle.workspace import Workspace, checked_name
from trainstack.store.atomic import read_json, write_json


class ComputeSpec(BaseModel):
    """What a compute is asked to be.

    Attributes:
        name: Its name in the workspace.
        target: Where its nodes are; `local` is this machine.
        vm_size: A size that says what one node holds; none shares the machine evenly between `max_nodes`.
        min_nodes: Nodes that stay up when idle; on `local` nodes cost nothing, so it is only kept.
        max_nodes: Nodes that may be busy at once.
        priority: `dedicated`, or `low` for nodes that may be taken away.
        idle_seconds_before_scaledown: Seconds until an idle node goes; on `local` at once, whatever it says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    target: Literal["local"] = "local"
    vm_size: str | None = None
    min_nodes: int = Field(default=0, ge=0)
    max_nodes: int = Field(default=1, ge=1)
    priority: Literal["dedicated", "low"] = "dedicated"
    idle_seconds_before_scaledown: int = Field(default=1800, ge=0)


class Capacity(BaseModel):
    """What one node of a compute holds: CPUs, memory in GiB, GPUs."""

    model_config = ConfigDict(frozen=True)

    cpus: int
    memory_gib: float
    gpus: int = 0


def machine() -> Capacity:
    """What this machine holds: the CPUs this process may use, and its memory."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    # One GPU a device file is the driver's own convention; no vendor library is imported for it.
    gpus = sum(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev"))  # noqa: PTH208
    return Capacity(cpus=cpus, memory_gib=round(memory, 1), gpus=gpus)


def node_capacity(spec: ComputeSpec, holds: Capacity | None = None) -> Capacity:
    """What one node of `spec` holds.

    Args:
        spec: The compute.
        holds: What the machine holds; looked up when left out.

    Raises:
        InvalidInputError: The machine does not hold `max_nodes` such nodes.
    """
    checked_name(spec.name, "compute")
    if spec.min_nodes > spec.max_nodes:
        raise InvalidInputError(
            f"min_nodes {spec.min_nodes} is over max_nodes {spec.max_nodes}: lower one or raise the other",
            field="min_nodes",
        )
    holds = holds or machine()
    if spec.vm_size is None:
        if spec.max_nodes > holds.cpus:
            raise InvalidInputError(
                f"max_nodes {spec.max_nodes} is more than this machine's {holds.cpus} CPUs: take at most one a CPU",
                field="max_nodes",
            )
        return Capacity(
            cpus=holds.cpus // spec.max_nodes,
            memory_gib=round(holds.memory_gib / spec.max_nodes, 1),
            gpus=holds.gpus // spec.max_nodes,
        )
    size = sizes.lookup(spec.vm_size)
    fits = min(
        holds.cpus // size.cpus,
        int(holds.memory_gib // size.memory_gib),
        holds.gpus // size.gpus if size.gpus else spec.max_nodes,
    )
    if spec.max_nodes > fits:
        raise InvalidInputError(
            f"max_nodes {spec.max_nodes} of {spec.vm_size} ({size.cpus} CPUs, {size.memory_gib:g} GiB, {size.gpus} GPUs"
            f" each) is more than this machine holds ({holds.cpus} CPUs, {holds.memory_gib:g} GiB, {holds.gpus} GPUs): "
            f"take {f'at most {fits}' if fits else 'a smaller size or none'}",
            field="max_nodes",
        )
    return Capacity(cpus=size.cpus, memory_gib=size.memory_gib, gpus=size.gpus)


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
) -> Generator[list[int]]:
    """Hold `count` of the compute's nodes, waiting in line until they are free.

    Args:
        workspace: The workspace the compute is in.
        spec: The compute.
        count: Nodes needed.
        waiting: Told, in a few words, whenever what is waited for changes.
        stopped: Asked while waiting; true ends the wait.

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
    held: dict[int, int] = {}
    told = ""
    # All nodes or none, one taker at a time, so that two runs never wait for each other's half.
    turn = os.open(folder / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while not stopped():
            if _try(turn):
                _take(folder, spec.max_nodes, held)
                if len(held) >= count:
                    for number in sorted(held)[count:]:
                        os.close(held.pop(number))
                    fcntl.flock(turn, fcntl.LOCK_UN)
                    break
                reason = f"waiting for {count} of {spec.max_nodes} nodes of {spec.name}: {len(held)} free"
                _release(held)
                fcntl.flock(turn, fcntl.LOCK_UN)
            else:
                reason = f"waiting in line for {spec.name}"
            if reason != told:
                waiting(told := reason)
            time.sleep(0.2)
        yield sorted(held)
    finally:
        os.close(turn)
        _release(held)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take(folder: os.PathLike[str], limit: int, held: dict[int, int]) -> None:
    for number in range(limit):
        descriptor = os.open(f"{os.fspath(folder)}/{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if _try(descriptor):
            held[number] = descriptor
        else:
            os.close(descriptor)


def _release(held: dict[int, int]) -> None:
    for descriptor in held.values():
        os.close(descriptor)
    held.clear()
