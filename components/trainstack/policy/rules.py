"""The rules: each looks at one resource's inputs and yields a sentence a violation. Free of Pulumi.

A value that preview does not know yet violates nothing: the update checks it again before it acts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from trainstack.core.compute.node_sizes import of_compute
from trainstack.core.environments.environment import spec_from_inputs
from trainstack.core.preview.document import UNKNOWN
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.workspace.store_cache import local_path
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.targets import registry

Inputs = Mapping[str, Any]

_TRAINING = ("TrainingRun", "Sweep")
_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|/|~|\.\./|[A-Za-z]:[\\/])")
_EXACT = re.compile(r"===?\s*[^\s,;*]+\s*(?:;.*)?$")
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)


class Settings(BaseModel):
    """The settings of a rule; `enforcementLevel` is Pulumi's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class NodeLimits(Settings):
    """Settings of `node-limits`.

    Attributes:
        max_nodes: Nodes that a compute may have, and a run take.
        max_gpus: GPUs that all nodes of a compute may have together.
        sizes: The sizes that may be used; any when left out.
    """

    max_nodes: int | None = Field(default=None, ge=0, alias="maxNodes")
    max_gpus: int | None = Field(default=None, ge=0, alias="maxGpus")
    sizes: tuple[str, ...] | None = None


class Datasets(Settings):
    """Settings of `registered-datasets`.

    Attributes:
        names: The datasets that runs may use; any registered one when left out.
        elsewhere: Starts of paths and addresses that arguments may hold all the same.
    """

    names: tuple[str, ...] | None = None
    elsewhere: tuple[str, ...] = ()


class Gate(Settings):
    """Settings of `gate-metric`.

    Attributes:
        metric: The metric that the run of each model must have logged; without it the rule is off.
        minimum: Its least value.
        maximum: Its greatest value.
    """

    metric: str | None = None
    minimum: float | None = None
    maximum: float | None = None


class ServiceKey(Settings):
    """Settings of `service-key`.

    Attributes:
        tls: Whether such a service must have a certificate too.
    """

    tls: bool = False


class NoSettings(Settings):
    """Settings of a rule that has none."""


def node_limits(kind: str, inputs: Inputs, settings: NodeLimits, root: Path) -> Iterator[str]:
    """Too many nodes or GPUs, or a size that is not to be used."""
    if kind in _TRAINING:
        node_count = _mapping(inputs.get("distribution")).get("node_count")
        if settings.max_nodes is not None and _over(node_count, settings.max_nodes):
            yield f"takes {node_count:g} nodes, over the limit of {settings.max_nodes}"
    if kind != "Compute":
        return
    nodes, size = inputs.get("max_nodes", 1), inputs.get("vm_size")
    if settings.max_nodes is not None and _over(nodes, settings.max_nodes):
        yield f"max_nodes {nodes:g} is over the limit of {settings.max_nodes}"
    if settings.sizes is not None and size != UNKNOWN and str(size).upper() not in map(str.upper, settings.sizes):
        yield f"vm_size {size or 'left out'} is none of {', '.join(settings.sizes)}"
    if settings.max_gpus is not None and UNKNOWN not in (size, nodes) and (node := of_compute(inputs)) is not None:
        gpus = node.gpus * int(nodes)
        if gpus > settings.max_gpus:
            yield f"{nodes:g} nodes of {size or node} have {gpus} GPUs, over the limit of {settings.max_gpus}"


def low_priority(kind: str, inputs: Inputs, settings: NoSettings, root: Path) -> Iterator[str]:
    """A compute whose nodes are rented at the full price; this machine's own nodes are rented from nobody."""
    if kind == "Compute" and not registry.capabilities(inputs.get("target")).same_machine:
        priority = inputs.get("priority", "dedicated")
        if priority not in ("low", UNKNOWN):
            yield f"priority is {priority}: set priority='low'"


def registered_datasets(kind: str, inputs: Inputs, settings: Datasets, root: Path) -> Iterator[str]:
    """Data that comes from anywhere but a registered dataset."""
    if kind not in _TRAINING:
        return
    values = [*_values(inputs.get("arguments")), *_values(inputs.get("environment_variables"))]
    for name, value in values:
        # One word may hold its option too, as --data=/mnt/data does.
        source = value.partition("=")[2] if value.startswith("-") else value
        if _ELSEWHERE.match(source) and source != UNKNOWN and not source.startswith(settings.elsewhere or ("\0",)):
            yield f"{name} is {source}: register it as a dataset and give dataset.as_mount()"
    if settings.names is not None:
        for name, reference in _mapping(inputs.get("datasets")).items():
            registered = _mapping(reference).get("name", name)
            if registered not in (*settings.names, UNKNOWN):
                yield f"dataset {registered} is none of {', '.join(settings.names)}"


def pinned_environments(kind: str, inputs: Inputs, settings: NoSettings, root: Path) -> Iterator[str]:
    """An environment that another day or machine may resolve to something else."""
    spec_inputs = inputs.get("spec")
    if kind != "Environment" or not isinstance(spec_inputs, Mapping) or UNKNOWN in repr(spec_inputs):  # pyright: ignore[reportUnknownArgumentType]
        return
    try:
        spec = spec_from_inputs(cast("Mapping[str, Any]", spec_inputs), root)
    except TrainstackError:
        # The provider says what is wrong with it.
        return
    if spec.curated is None and spec.lock is None:
        for line in spec.requirements:
            if not _EXACT.search(line) and " @ " not in line:
                yield f"{line} is not pinned: write NAME==VERSION, or give a lock"
        for package in spec.conda_packages:
            if "=" not in package:
                yield f"conda package {package} is not pinned: write NAME=VERSION=BUILD"
    for origin, name in (("image", spec.image), ("base_image", spec.base_image), *_bases(spec.dockerfile)):
        if name is not None and "@sha256:" not in name:
            yield f"{origin} {name} is not pinned: write NAME@sha256:DIGEST"


def gate_metric(kind: str, inputs: Inputs, settings: Gate, root: Path) -> Iterator[str]:
    """A model whose run did not reach what is asked: looked at when the run has ended, before registering."""
    if kind != "Model" or settings.metric is None or UNKNOWN in (inputs.get("run_id"), inputs.get("workspace")):
        return
    run_id = inputs.get("run_id")
    if not run_id:
        if "path" in inputs:
            yield f"is of no run, so nobody measured its {settings.metric}: register it from a run"
        return
    try:
        workspace = Workspace.open(local_path(str(inputs["workspace"]), root))
        metrics = RunDirectory(workspace.run(str(run_id))).read().metrics
    except TrainstackError as exc:
        yield f"its run {run_id} cannot be looked at: {exc}"
        return
    value = metrics.get(settings.metric)
    if value is None:
        yield f"its run {run_id} logged no {settings.metric}: it logged {', '.join(sorted(metrics)) or 'nothing'}"
    elif settings.minimum is not None and not value >= settings.minimum:
        yield f"{settings.metric} is {value:.6g}, under the gate of {settings.minimum:g}"
    elif settings.maximum is not None and not value <= settings.maximum:
        yield f"{settings.metric} is {value:.6g}, over the gate of {settings.maximum:g}"


def service_key(kind: str, inputs: Inputs, settings: ServiceKey, root: Path) -> Iterator[str]:
    """A service that others than this machine reach without a key, or without TLS where that is asked."""
    host = str(inputs.get("host", "127.0.0.1"))
    if kind != "WebService" or host == UNKNOWN or _is_loopback(host):
        return
    if not inputs.get("key_rotation"):
        yield f"listens on {host} without a key: set key_rotation"
    if settings.tls and not inputs.get("tls_certificate"):
        yield f"listens on {host} without TLS: set tls_certificate and tls_key"


def _bases(dockerfile: str | None) -> list[tuple[str, str]]:
    """The images that a Dockerfile starts from; its own stages are none."""
    if dockerfile is None:
        return []
    images = _FROM.findall(Path(dockerfile).read_text("utf-8", errors="replace"))
    stages = {stage.lower() for _, stage in images} | {"scratch"}
    return [("FROM", image) for image, _ in images if image.lower() not in stages]


def _values(values: object) -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping):
        for name, value in cast("Mapping[str, Any]", values).items():
            for item in cast("list[Any]", value) if isinstance(value, list) else [value]:
                if isinstance(item, str):
                    yield name, item
    elif isinstance(values, list):
        for item in cast("list[Any]", values):
            if isinstance(item, str):
                yield "an argument", item


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _over(value: object, limit: float) -> bool:
    return isinstance(value, int | float) and value > limit


def _mapping(value: object) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}
