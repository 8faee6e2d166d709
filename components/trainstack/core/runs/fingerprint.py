"""What a run is, and the name that follows from it.

The fingerprint covers the code, the arguments, the data's content, the environment's lock and the distribution. It
never covers where the run happens: paths, compute, host names, priorities and timeouts differ from machine to machine
while the result is the same. `docs/fingerprint.md` explains it for people.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from trainstack.core.runs.arguments import DATASET
from trainstack.storage import digest as digests

VERSION = 1
ID_LENGTH = 16


class RunEnvironment(BaseModel):
    """The environment that a run's process sees.

    Attributes:
        digest: Digest of the lock: Python version and every pinned package.
        packages: Normalised package name to version, for people who read a diff.
        variables: Environment variables that the environment gives to every run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    digest: str
    python: str = "3.11"
    packages: dict[str, str] = {}
    variables: dict[str, str] = {}


class RunSpec(BaseModel):
    """Everything that decides what a run computes.

    Attributes:
        script: Path of the script in the source folder.
        files: Relative path to SHA-256 of each code file.
        arguments: Canonical arguments (`trainstack.core.runs.arguments`).
        datasets: Dataset name, as arguments refer to it, to the digest of its content.
        environment: The locked environment.
        environment_variables: Variables set for the script.
        secret_names: Names of variables whose values are secret; the values are no part of the fingerprint, because a
            digest of a short secret gives it away.
        distribution: Kind and sizes of the distribution; `{"kind": "single"}` for one process.
        trigger: Anything; another text is another run, for whoever wants to train the same again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    script: str
    files: dict[str, str]
    arguments: dict[str, str | list[str] | bool] | list[str] = {}
    datasets: dict[str, str] = {}
    environment: RunEnvironment
    environment_variables: dict[str, str] = {}
    secret_names: tuple[str, ...] = ()
    distribution: dict[str, Any] = {"kind": "single"}
    trigger: str = ""

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 that names the run."""
        return digests.of_json(
            {
                "version": VERSION,
                "script": self.script,
                "files": self.files,
                "arguments": self._arguments(),
                "environment": self.environment.digest,
                "environment_variables": {**self.environment.variables, **self.environment_variables},
                "secret_names": sorted(self.secret_names),
                "datasets": sorted(self.datasets.values()),
                "distribution": self.distribution,
                "trigger": self.trigger,
            }
        )

    @property
    def run_id(self) -> str:
        """The fingerprint's first 16 digits: the run directory's name."""
        return self.fingerprint[:ID_LENGTH]

    def _arguments(self) -> Any:
        """Arguments with each dataset named by its content, so that a renamed dataset retrains nothing."""

        def resolve(value: str | list[str] | bool) -> Any:
            if isinstance(value, list):
                return [resolve(item) for item in value]
            if isinstance(value, bool):
                return value
            return DATASET.sub(lambda match: f"${{dataset:{self.datasets[match.group(1)]}}}", value)

        if isinstance(self.arguments, list):
            return [resolve(value) for value in self.arguments]
        return {name: resolve(value) for name, value in self.arguments.items()}
