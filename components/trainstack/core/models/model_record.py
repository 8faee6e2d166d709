"""What a workspace knows of a model: how it is asked for, and one record a version."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ResourceConfiguration(BaseModel):
    """What a service of the model asks of its machine.

    Attributes:
        cpu: CPU cores.
        memory_in_gb: Memory, in GB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    cpu: float = Field(default=1.0, gt=0)
    memory_in_gb: float = Field(default=1.0, gt=0)


class _ModelDescription(BaseModel):
    """What describes a model. It may change while its files and so its version stay."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)

    framework: str = "TensorFlow"
    framework_version: str | None = None
    description: str = ""
    tags: dict[str, str] = {}
    sample_input: Any | None = None
    resource_configuration: ResourceConfiguration | None = None


class ModelSpec(_ModelDescription):
    """What a model is registered as.

    Attributes:
        name: Its name; versions are counted under it.
        framework: What it was made with.
        framework_version: Which version of that; chooses the environment that serves it.
        description: What it is.
        tags: Anything to find it by.
        sample_input: JSON that the model takes: a predict body (`{"instances": …}`, `{"inputs": …}`) or the rows
            alone. A service warms up with it.
        resource_configuration: What a service of it asks for.
    """

    name: str


class ModelRecord(_ModelDescription):
    """One registered version.

    Attributes:
        name: The model's name.
        version: From 1; never given twice.
        digest: SHA-256 over its files' relative paths and digests.
        run_id: The run that first made these files, if one did.
        created: When it was registered, ISO 8601, UTC.
        files: Relative path to hex SHA-256.
        path: The folder with the files.
    """

    name: str
    version: int
    digest: str
    run_id: str | None = None
    created: str
    files: dict[str, str]
    path: str = Field(exclude=True)
