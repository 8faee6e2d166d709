"""The specification of a model, its resource's inputs and outputs, and the record of a version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from trainstack.core.properties import ResourceField
from trainstack.core.workspace.inside_name import InsideName
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.store_cache import stored_path

LISTED_FILES = 200
"""State lists each file up to this many."""


class ResourceConfiguration(BaseModel):
    """Resources that a service of the model needs.

    Attributes:
        cpu: CPU cores.
        memory_in_gb: Memory, in GB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    cpu: float = Field(default=1.0, gt=0)
    memory_in_gb: float = Field(default=1.0, gt=0)


class _ModelDescription(BaseModel):
    """The description of a model. It may change while its files, and so its version, stay."""

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
        resource_configuration: Resources that a service of it needs.
    """

    name: Annotated[str, ResourceField(change="replace")]


class ModelInputs(ModelSpec):
    """The inputs of a model's resource.

    Attributes:
        workspace: The root of its workspace.
        path: Its path in the run's directory; without a run, any path.
        run_id: The run that made it, if one did.
        alias: Names for versions: a number, or `latest`.
        require: Conditions on the run's metrics.
        contents: Digest over the names and contents of the files at a path of one's own; none with a run.
    """

    workspace: Annotated[str, ResourceField(change="replace")]
    path: str
    run_id: str | None = None
    alias: dict[str, int | str] = {}
    require: dict[str, str] = {}
    contents: Annotated[str | None, ResourceField(source="check")] = None

    @property
    def spec(self) -> ModelSpec:
        """What the model is registered as."""
        return ModelSpec.model_validate(self.model_dump(include=set(ModelSpec.model_fields)))


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
    files: dict[InsideName, str]
    path: str = Field(exclude=True)


class ModelOutputs(BaseModel):
    """What a model's resource adds to its inputs.

    Attributes:
        version: The version that has these files.
        digest: SHA-256 over its files' relative paths and digests.
        files: Relative path to hex SHA-256; empty above `LISTED_FILES`.
        directory: The folder with the files, relative to the project when inside it.
        aliases: Alias to version.
        drift: What differs from the registered version, a sentence each.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    version: int
    digest: str
    files: dict[str, str]
    directory: str
    aliases: dict[str, int] = {}
    drift: list[str] = []

    @classmethod
    def of(cls, record: ModelRecord, aliases: dict[str, int] | None = None) -> ModelOutputs:
        """The outputs for a registered version."""
        return cls(
            version=record.version,
            digest=record.digest,
            files=listed(record.files),
            directory=stored_path(Path(record.path), project_root()),
            aliases=aliases or {},
        )


def listed(files: dict[str, str]) -> dict[str, str]:
    """The files as state lists them: all, or none above `LISTED_FILES`."""
    return files if len(files) <= LISTED_FILES else {}
