"""What a compute is asked to be: what all targets have in common, and the config model of its own target."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from trainstack.errors import InvalidInputError
from trainstack.targets import registry
from trainstack.targets.base import Target
from trainstack.targets.config import ServingOptions, TargetConfig
from trainstack.targets.plugin import LocationKey, TargetPlugin

Options = TypeVar("Options", bound=BaseModel)


class NodeSize(BaseModel):
    """What one node holds, said by numbers.

    Attributes:
        cpus: CPUs.
        memory_gib: GiB of memory.
        gpus: GPUs.
        gpu: The model that they must be; none for any.
        price: What it costs an hour; none where a machine that holds as much is to say.
        spot_price: The same while it can be taken away.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    cpus: int = Field(ge=1)
    memory_gib: float = Field(gt=0)
    gpus: int = Field(default=0, ge=0)
    gpu: str | None = None
    price: float | None = Field(default=None, ge=0)
    spot_price: float | None = Field(default=None, ge=0)

    @field_validator("gpu")
    @classmethod
    def _has_gpus(cls, gpu: str | None, info: ValidationInfo) -> str | None:
        if gpu and not info.data.get("gpus"):
            raise ValueError("needs gpus=1 or more beside it")
        return gpu.lower() if gpu else None


class ComputeSpec(BaseModel):
    """What a compute is asked to be.

    Attributes:
        name: Its name in the workspace.
        target: Where its nodes are: `local` is this machine, `docker` an engine, a container a node, `kubernetes` a
            cluster, one pod per node. It decides which model `config` is.
        config: What only computes of this target have.
        docker_host: The address of the Docker engine that makes images, and for `docker` runs the nodes; none takes the
            one that DOCKER_HOST names where it is used.
        object_store: The workspace's address where it is in an object store, which pods read from and write to.
        vm_size: The name of a size that says what one node holds; none shares the machine evenly between `max_nodes`.
        node_size: What one node holds; with `vm_size`, what that name stands for in this workspace or stack.
        prices: What a node costs an hour by the stack's configuration: by size or target, and `NAME/low`.
        currency: What prices are in.
        min_nodes: Nodes that stay up when idle; where nodes cost nothing it is only kept.
        max_nodes: Nodes that may be busy at once.
        priority: `dedicated`, or `low` for nodes that may be taken away.
        idle_seconds_before_scaledown: Seconds until an idle node goes; on `local` and `docker` it goes at once.
        cache_gib: GiB of mounted objects that the machine which lays out data keeps for its runs together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    target: str = registry.DEFAULT
    config: SerializeAsAny[TargetConfig] = Field(default_factory=TargetConfig, validate_default=True)
    docker_host: str | None = None
    object_store: str | None = None
    vm_size: str | None = None
    node_size: NodeSize | None = None
    prices: dict[str, float] = Field(default_factory=dict)
    currency: str = "USD"
    min_nodes: int = Field(default=0, ge=0)
    max_nodes: int = Field(default=1, ge=1)
    priority: Literal["dedicated", "low"] = "dedicated"
    idle_seconds_before_scaledown: int = Field(default=1800, ge=0)
    cache_gib: float = Field(default=100.0, gt=0)

    @field_validator("target")
    @classmethod
    def _is_registered(cls, target: str) -> str:
        if registry.find_plugin(target) is None:
            raise ValueError(f"is none of {', '.join(registry.names())}, but {target!r}")
        return target

    @field_validator("config", mode="before")
    @classmethod
    def _of_target(cls, config: object, info: ValidationInfo) -> TargetConfig:
        """The target's name says which model this is."""
        target = info.data.get("target")
        if target is None:  # It was refused already.
            return TargetConfig()
        return config_of(target, config)

    @property
    def plugin(self) -> TargetPlugin:
        """The registration of its target."""
        return registry.plugin(self.target)


def config_of(target: str, config: object) -> TargetConfig:
    """Return the config of a target as its model.

    Args:
        target: The target's name.
        config: The model, or a mapping of its fields; the defaults when empty.

    Raises:
        InvalidInputError: A field is unknown or its value unusable; names the first.
    """
    plugin = registry.plugin(target)
    fields: Any = {} if config is None or type(config) is TargetConfig else config
    return _validated(registry.load(plugin.config), fields, f"compute: {target}")


def serving_of(target: str, options: object) -> ServingOptions:
    """Return how a web service runs on a target as its model; arguments and errors as for `config_of`."""
    if (reference := registry.plugin(target).serving) == registry.TargetPlugin.serving:
        # There are none to choose; the target's service runner says so.
        return ServingOptions()
    return _validated(registry.load(reference), options, f"web service: {target}")


def _validated(model: type[Options], fields: Any, title: str) -> Options:
    if isinstance(fields, model):
        return fields
    try:
        return model.model_validate(fields)
    except ValidationError as exc:
        problem = exc.errors()[0]
        resource, _, target = title.partition(": ")
        field = ".".join(map(str, (target, *problem["loc"])))
        reason = problem["msg"].removeprefix("Value error, ")
        raise InvalidInputError(f"{resource}: {field}: {reason}, not {problem['input']!r}", field=field) from exc


def target_of(spec: ComputeSpec) -> Target:
    """Return the target that a compute means; this connects to nothing yet."""
    return spec.plugin.open(spec)


def location_key(spec: ComputeSpec) -> LocationKey:
    """Return what tells where a compute is from where others are, whatever their sizes."""
    return spec.plugin.location(spec)
