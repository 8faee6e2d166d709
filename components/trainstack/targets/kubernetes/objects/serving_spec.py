"""How a web service is asked to run on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trainstack.targets.config import ServingOptions
from trainstack.targets.kubernetes.objects import exposure
from trainstack.targets.kubernetes.objects import validation as asked_for

_CPU_PERCENT = 70

Exposed = Literal["port-forward", "node-port", "ingress"]


class ServingSpec(ServingOptions):
    """How a service runs on a cluster.

    Attributes:
        engine: `deployment`, or `kserve` for an InferenceService, which scales and routes by itself.
        min_replicas: Pods at least.
        max_replicas: Pods at most; more than `min_replicas` makes an autoscaler.
        target_cpu: Percent of the requested CPU at which the autoscaler adds pods; 70 where it goes by nothing else.
        target_concurrency: Requests in flight of a pod at which the autoscaler adds pods, in place of `target_cpu`.
        expose: How it is reached from outside: `port-forward` (not at all but through the API server), `node-port`,
            or `ingress`.
        node_port: The port of every node, 30000 to 32767; the cluster chooses when left out.
        host: The name that an Ingress answers to.
        ingress_class: The class of the Ingress; the cluster's default when left out.
        tls_secret: The Secret with the Ingress's certificate; plain HTTP when left out.
    """

    engine: Literal["deployment", "kserve"] = "deployment"
    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=1, ge=1)
    target_cpu: int | None = Field(default=None, ge=1, le=1000)
    target_concurrency: int | None = Field(default=None, ge=1)
    expose: Exposed = "port-forward"
    node_port: int | None = Field(default=None, ge=30000, le=32767)
    host: str | None = None
    ingress_class: str | None = None
    tls_secret: str | None = None

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str | None) -> str | None:
        return exposure.checked_host(host)

    @model_validator(mode="after")
    def _check(self) -> ServingSpec:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas {self.max_replicas} is under min_replicas {self.min_replicas}")
        if self.target_cpu is not None and self.target_concurrency is not None:
            raise ValueError("an autoscaler goes by target_cpu or by target_concurrency: leave one out")
        if (self.target_cpu or self.target_concurrency) and not self.autoscaled:
            raise ValueError("a target is for an autoscaler: let max_replicas be more than min_replicas")
        if (self.expose == "ingress") != (self.host is not None):
            raise ValueError("an ingress takes a host, and a host an ingress")
        if self.expose != "ingress" and (self.ingress_class or self.tls_secret):
            raise ValueError("ingress_class and tls_secret are for expose='ingress'")
        if self.node_port is not None and self.expose != "node-port":
            raise ValueError("node_port is for expose='node-port'")
        if self.engine == "kserve" and self.expose != "port-forward":
            raise ValueError("KServe gives an address of its own: leave out expose")
        return self

    @property
    def autoscaled(self) -> bool:
        """Whether the number of pods is an autoscaler's."""
        return self.max_replicas > self.min_replicas

    @property
    def cpu_percent(self) -> int:
        """Percent of the requested CPU at which an autoscaler adds pods that goes by CPU."""
        return self.target_cpu or _CPU_PERCENT


def checked(values: Mapping[str, Any]) -> ServingSpec:
    """How a service is to run, from a program's values.

    Raises:
        InvalidInputError: A value is of a wrong kind or out of range; names the first.
    """
    return asked_for.checked(ServingSpec, values)
