"""The models that a target's own options subclass."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class TargetConfig(BaseModel):
    """What only computes of one target have. A target without options takes it as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ServingOptions(BaseModel):
    """How a web service runs on one target. A target without options takes it as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
