"""What is submitted: what a run is, and how and where to run it. A module of its own, so that reading records is quick.

`provider/run_submission.py` makes it of a resource's inputs; `spec.json` in the run directory holds it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.environments.lock import Lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.runs.fields import RunSettings, RunSpec
from trainstack.core.runs.run_field import RunField
from trainstack.targets.base import Runtime


class DatasetReference(BaseModel):
    """A registered dataset that a run reads.

    Attributes:
        name: Its registered name.
        version: Its version.
        mode: Whether files are fetched as they are read, or all before the start.
        digest: Digest of its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    version: int
    mode: Literal["mount", "download"] = "mount"
    digest: str = ""


class RegistryLogin(BaseModel):
    """A workspace's image registry, without its password.

    Attributes:
        address: Its address.
        username: Who pushes and pulls.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    address: str
    username: str = ""


class LockedEnvironment(BaseModel):
    """The environment of a run.

    Attributes:
        spec: What was asked for.
        lock: What that came to, exactly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    spec: EnvironmentSpec
    lock: Lock


class RunRequest(RunSettings):
    """A submission. Beside the spec nothing of it is part of the fingerprint; it holds no secret.

    Attributes:
        name: The name its author gave.
        spec: What the run is.
        environment: The environment's spec and lock.
        datasets: Dataset name, as arguments refer to it, to the registered one.
        registry: The workspace's image registry.
        runtime: The environment where the nodes are, when it was made before the submission; else the supervisor
            makes it.
        compute: Where to run.
        tags: Who submitted it, from which stack and commit.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: str
    spec: RunSpec
    environment: LockedEnvironment
    datasets: dict[str, DatasetReference] = Field(default={})
    registry: RegistryLogin | None = None
    runtime: Runtime | None = None
    compute: Annotated[
        ComputeSpec,
        RunField(label="compute", note="where a run happens does not decide what it computes"),
    ]
    tags: dict[str, str] = Field(default={})
