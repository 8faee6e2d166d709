"""What one node holds and costs: by the name of a machine of Azure, AWS or Google Cloud, or as a compute says it.

The names are in `vm_sizes.tsv`, which `tools/vm_sizes.py` writes, with their sources and date. A name is looked for in
the text as it is: a preview without one never reads it, and one with a name parses a single line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trainstack.errors import InvalidInputError
from trainstack.targets.compute_spec import NodeSize

# Google's machines of one's own measure: n2-custom-8-16384, in MiB.
_CUSTOM = re.compile(r"(?:[a-z]\w+-)?custom-(\d+)-(\d+)(?:-ext)?")


@dataclass(frozen=True)
class Size:
    """What one node holds and costs.

    Attributes:
        name: The machine's name as its vendor writes it; empty for a node that a compute describes.
        cpus: Virtual CPUs.
        memory_gib: GiB of memory.
        gpus: GPUs.
        gpu: Their model; empty where it does not matter.
        gpu_memory_gib: GiB of memory of one GPU; none where it is not known.
        price: US dollars an hour on demand; none where none is published.
        spot_price: The same while it can be taken away.
    """

    name: str
    cpus: int
    memory_gib: float
    gpus: int = 0
    gpu: str = ""
    gpu_memory_gib: float | None = None
    price: float | None = None
    spot_price: float | None = None

    @property
    def gpu_vendor(self) -> Literal["nvidia", "amd"]:
        """Whose GPUs they are; NVIDIA's where nobody says."""
        return "amd" if self.gpu.startswith("amd-") else "nvidia"

    def __str__(self) -> str:
        gpus = f", {self.gpus} {self.gpu or 'GPUs'}" if self.gpus else ""
        return self.name or f"{self.cpus} CPUs, {self.memory_gib:g} GiB{gpus}"


def lookup(name: str) -> Size:
    """Find a machine by its vendor's name; upper and lower case are alike.

    Raises:
        InvalidInputError: The name is not in the table.
    """
    text, lower = _table()
    start = lower.find(f"\n{name.lower()}\t")
    if start >= 0:
        return _parse(text[start + 1 : text.index("\n", start + 1)])
    if custom := _CUSTOM.fullmatch(name.lower()):
        return Size(name.lower(), int(custom[1]), int(custom[2]) / 1024)
    import difflib

    names = {size.name.lower(): size.name for size in sizes()}
    close = [names[match] for match in difflib.get_close_matches(name.lower(), names, n=3)]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise InvalidInputError(
        f"vm_size {name!r} is not known: {hint}Or say what a node holds, node=ts.Node(cpus=8, memory_gib=32), or give "
        "that a name, WorkspaceArgs(sizes={NAME: ts.Node(…)})",
        field="vm_size",
    )


def sizes() -> Iterator[Size]:
    """All machines of the table."""
    for line in _table()[0].splitlines():
        if line and not line.startswith("#"):
            yield _parse(line)


def of_compute(compute: Mapping[str, Any]) -> Size | None:
    """What one node of a compute holds; none where its place is shared evenly.

    Args:
        compute: A compute's inputs or spec: `node_size`, `vm_size`.

    Raises:
        InvalidInputError: `vm_size` is not known.
    """
    node = compute.get("node_size")
    if node:
        return of_node(NodeSize.model_validate(node))
    return lookup(str(compute["vm_size"])) if compute.get("vm_size") else None


def of_node(node: NodeSize) -> Size:
    """The size that a compute describes."""
    return Size("", node.cpus, node.memory_gib, node.gpus, node.gpu or "", None, node.price, node.spot_price)


@functools.cache
def cheapest(node: Size) -> Size | None:
    """The machine with the lowest price on demand that holds all of a node; none where no machine with a price does."""
    all_sizes = list(sizes())
    whole = max((size.gpu_memory_gib or 0 for size in all_sizes if size.gpu == node.gpu), default=0)
    fitting = [
        size
        for size in all_sizes
        if size.price
        and size.cpus >= node.cpus
        and size.memory_gib >= node.memory_gib
        and size.gpus >= node.gpus
        # A part of a GPU is none, though an H100 of 80 GiB is one beside that of 94.
        and (not node.gpu or (size.gpu == node.gpu and (size.gpu_memory_gib or 0) > whole / 2))
        and (node.gpus > 0 or size.gpus == 0)
    ]
    return min(fitting, key=lambda size: size.price or 0, default=None)


def has_gpus(compute: Mapping[str, Any]) -> bool:
    """Whether a node of a compute has GPUs, by its size."""
    size = of_compute(compute)
    return size is not None and size.gpus > 0


@functools.cache
def _table() -> tuple[str, str]:
    text = Path(__file__).with_name("vm_sizes.tsv").read_text(encoding="utf-8")
    return text, text.lower()


def _parse(line: str) -> Size:
    name, cpus, memory, gpus, gpu, *numbers = line.split("\t")
    gpu_memory, price, spot = (None if number == "-" else float(number) for number in numbers)
    return Size(name, int(cpus), float(memory), int(gpus), "" if gpu == "-" else gpu, gpu_memory, price, spot)
