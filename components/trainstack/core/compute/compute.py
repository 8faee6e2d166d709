"""Compute: what runs on, found or created, and its slots, one a node, that runs queue for.

A slot is a file that a supervisor holds a lock on: a killed supervisor gives its slots back at once.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from trainstack.abbreviation import counted
from trainstack.core.compute import allocatable, node_sizes
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import read_json, write_json
from trainstack.targets import registry
from trainstack.targets.base import Capacity
from trainstack.targets.compute_spec import ComputeSpec, location_key, target_of
from trainstack.targets.plugin import LocationKey

PATIENCE_SECONDS = 3.0
"""How long a preview waits for a place that is far away."""


def fields_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `ComputeSpec` that a compute's inputs name.

    Args:
        inputs: The inputs; what only one target's computes have is under the target's name.

    Raises:
        InvalidInputError: There are options of another target.
    """
    target = inputs.get("target") or registry.DEFAULT
    for name in registry.names():
        if name != target and inputs.get(name):
            raise InvalidInputError(f"{name} is for target {name!r}, not {target!r}", field=name)
    common = {name: value for name, value in inputs.items() if name not in (target, *registry.names())}
    return {**common, "config": inputs.get(str(target))}


def input_names() -> tuple[str, ...]:
    """Return the inputs that say what a compute is asked to be: the common ones, and one for each target's own."""
    return (*(name for name in ComputeSpec.model_fields if name not in ("name", "config")), *registry.names())


def holding(spec: ComputeSpec, *, seconds: float | None = None) -> Capacity | None:
    """What the whole place of a compute holds, asked once in this process; none where it grows as needed.

    Args:
        spec: The compute.
        seconds: How long to wait for an answer; without end when left out.

    Raises:
        TrainstackError: It does not answer, or not in that time.
    """
    key = location_key(spec)
    if key not in _ANSWERS and not spec.plugin.capabilities.remote:
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
            result = answer.get(timeout=seconds)
        except queue.Empty as exc:
            raise TrainstackError(f"compute {spec.name!r}: {spec.target} did not answer within {seconds:g} s") from exc
        if isinstance(result, TrainstackError):
            raise result
        _ANSWERS[key] = result
    return _ANSWERS[key]


_ANSWERS: dict[LocationKey, Capacity | None] = {}


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
    if holds is None and not spec.plugin.capabilities.elastic_capacity:
        holds = holding(spec)
    size = _size(spec)
    if size is None:
        if holds is None:
            raise InvalidInputError(
                f"compute {spec.name!r} is on {spec.target}, which grows as needed: say what a node holds with "
                "node=ts.Node(cpus=8, memory_gib=32), or with vm_size",
                field="vm_size",
            )
        if spec.max_nodes > holds.cpus:
            raise InvalidInputError(
                f"max_nodes {spec.max_nodes} is more than the {holds.cpus} CPUs of {spec.plugin.describe(spec)}: "
                "take at most one a CPU",
                field="max_nodes",
            )
        return Capacity(
            cpus=holds.cpus // spec.max_nodes,
            memory_gib=round(holds.memory_gib / spec.max_nodes, 1),
            gpus=(holds.gpus or 0) // spec.max_nodes,
        )
    node = Capacity(cpus=size.cpus, memory_gib=size.memory_gib, gpus=size.gpus, gpu_vendor=size.gpu_vendor)
    if spec.node_size is not None:
        node = node.model_copy(update={"gpu": spec.node_size.gpu})
    if holds is None:
        # A machine's name means the machine, of which a pod gets what it leaves; numbers mean the pod.
        memory_gib = allocatable.memory_gib(size.memory_gib)
        left = {"memory_gib": memory_gib, "reserved_cpus": _reserved(size), "machine": size.name}
        return node if spec.node_size is not None else node.model_copy(update=left)
    fits = min(
        holds.cpus // size.cpus,
        int(holds.memory_gib // size.memory_gib),
        holds.gpus // size.gpus if size.gpus and holds.gpus is not None else spec.max_nodes,
    )
    if spec.max_nodes > fits:
        there = f"{holds.cpus} CPUs, {holds.memory_gib:g} GiB"
        there += "" if holds.gpus is None else f", {holds.gpus} GPUs"
        raise InvalidInputError(
            f"max_nodes {spec.max_nodes} of {spec.vm_size or 'node'} "
            f"({size.cpus} CPUs, {size.memory_gib:g} GiB, {size.gpus} GPUs"
            f" each) is more than {spec.plugin.describe(spec)} holds ({there}): "
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
    _size(spec)
    spec.plugin.check(spec)


def has_gpus(spec: ComputeSpec) -> bool:
    """Whether a node of a compute has GPUs, by its size."""
    return node_sizes.has_gpus(_declared_size(spec))


def _size(spec: ComputeSpec) -> node_sizes.Size | None:
    return node_sizes.of_compute(_declared_size(spec))


def _declared_size(spec: ComputeSpec) -> dict[str, Any]:
    return {"vm_size": spec.vm_size, "node_size": spec.node_size}


def _reserved(size: node_sizes.Size) -> float:
    return min(allocatable.reserved_cpus(size.cpus), size.cpus - 0.5)


def ensure(workspace: Workspace, spec: ComputeSpec) -> bool:
    """Find the compute or create it, and keep what it is now asked to be.

    Returns:
        Whether it was there already.
    """
    node_capacity(spec)
    record = workspace.compute(spec.name) / "compute.json"
    existed = record.is_file()
    if not existed or read_json(record) != spec.model_dump(mode="json"):
        write_json(record, spec.model_dump(mode="json"))
    return existed


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
            f"{counted(count, 'node')} asked of compute {spec.name!r}, which has at most {spec.max_nodes}: "
            "raise its max_nodes"
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
                    now = f"waiting for {count} of {counted(spec.max_nodes, 'node')} of {spec.name}: {len(slots)} free"
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
