"""The one table of a run's fields.

A field is declared once, with its type and a `RunField` that says how it is treated. What decides a run's result is in
`RunSpec` and counts into the fingerprint; the settings in `RunSettings` and `RunRequest` do not. Fingerprint, diff,
reason line, reports and the table in `docs/fingerprint.md` follow from here; `docs/contributing/add-a-run-field.md`
says how to add a field.

The fingerprint covers the code, the arguments, the data's content, the environment's lock and the distribution. It
never covers where the run happens: paths, compute, host names, priorities and timeouts differ from machine to machine
while the result is the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from trainstack.core.runs import change_lines
from trainstack.core.runs.arguments import DATASET, Canonical
from trainstack.core.runs.change_lines import UNKNOWN, as_mapping
from trainstack.core.runs.run_field import JSON_ALONE, RunField, run_fields
from trainstack.core.workspace.inside_name import InsideName
from trainstack.storage import digest as digests

VERSION = 2
"""Of the fingerprint: another one names every run anew."""
ID_LENGTH = 16


class RunEnvironment(BaseModel):
    """The environment that a run's process sees.

    Attributes:
        digest: Digest of the lock: Python version and every pinned package.
        packages: Normalised package name to version, for people who read a diff.
        variables: Environment variables that the environment gives to every run.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    digest: str
    python: str = "3.11"
    packages: dict[str, str] = {}
    variables: dict[str, str] = {}


def _dataset_digests(references: Any) -> dict[str, Any]:
    """Dataset name to digest: neither version nor mode counts."""
    return {name: as_mapping(reference).get("digest", UNKNOWN) for name, reference in as_mapping(references).items()}


def _dataset_contents(references: Any) -> dict[str, Any]:
    """Dataset name to digest, and to the digests of its files where they are listed."""
    digests_of = _dataset_digests(references)
    return {
        name: {"digest": digests_of[name], "files": as_mapping(as_mapping(reference).get("files"))}
        for name, reference in as_mapping(references).items()
    }


def _secret_names(variables: Any) -> list[str]:
    return sorted(as_mapping(variables))


def _resolved_arguments(spec: RunSpec) -> object:
    """Arguments with each dataset named by its content, so that a renamed dataset retrains nothing."""

    def resolve(value: str | list[str] | bool) -> object:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if isinstance(value, bool):
            return value
        return DATASET.sub(lambda match: f"${{dataset:{spec.datasets[match.group(1)]}}}", value)

    if isinstance(spec.arguments, list):
        return [resolve(value) for value in spec.arguments]
    return {name: resolve(value) for name, value in spec.arguments.items()}


def _sorted_digests(spec: RunSpec) -> object:
    return sorted(spec.datasets.values())


def _environment_digest(spec: RunSpec) -> object:
    return spec.environment.digest


def _all_variables(spec: RunSpec) -> object:
    return {**spec.environment.variables, **spec.environment_variables}


def _sorted_secrets(spec: RunSpec) -> object:
    return sorted(spec.secret_variables)


def _distribution_options(spec: RunSpec) -> object:
    """Kind and options, without a node count of 1."""
    return {name: value for name, value in spec.distribution.items() if (name, value) != ("node_count", 1)}


class RunSpec(BaseModel):
    """What decides the result of a run. A field that is left at its default adds nothing to the fingerprint.

    Attributes:
        script: Path of the script in the source folder; empty where a module is run.
        module: The module that `python -m` runs; empty where a script is run.
        files: Relative path to SHA-256 of each code file.
        executables: Paths of those that are programs, sorted.
        arguments: Canonical arguments (`trainstack.core.runs.arguments`).
        datasets: Dataset name, as arguments refer to it, to the digest of its content.
        environment: The locked environment.
        environment_variables: Variables set for the script.
        secret_variables: Names of variables whose values are secret; the values are no part of the fingerprint,
            because a digest of a short secret gives it away.
        distribution: Kind, node count and options of the distribution.
        trigger: Any text; another one is another run, for whoever wants to train the same again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    script: Annotated[str, RunField(label="script", note="its path in the source folder")] = ""
    module: Annotated[str, RunField(label="module", note="what `python -m` runs instead of a script")] = ""
    files: Annotated[
        dict[InsideName, str],
        RunField(
            label="code",
            note="SHA-256 of each file of `source_directory`, less what `.trainstackignore` (else `.gitignore`) "
            "leaves out",
            arguments=("source_directory", "source_limit_bytes"),
            lines=change_lines.names("{name}"),
            key="code",
            show="Code",
        ),
    ]
    executables: Annotated[
        tuple[str, ...],
        RunField(
            label="programs",
            note="which of these files their owner may execute, the one bit of a mode that git keeps too",
            arguments=("source_directory",),
            lines=change_lines.modes,
            within="files",
            show=JSON_ALONE,
        ),
    ] = ()
    arguments: Annotated[
        Canonical,
        RunField(
            label="arguments",
            note="by name, without order; a list keeps its order. Equal numbers are equal: `1`, `1.0`",
            lines=change_lines.arguments,
            canonical=_resolved_arguments,
            show="Arguments",
        ),
    ] = {}
    datasets: Annotated[
        dict[str, str],
        RunField(
            label="datasets",
            note="SHA-256 over the paths and contents of each dataset; neither its name, its version nor where it "
            "came from",
            arguments=("arguments",),
            read=_dataset_digests,
            compared=_dataset_contents,
            lines=change_lines.datasets,
            canonical=_sorted_digests,
            show="Datasets",
        ),
    ] = {}
    environment: Annotated[
        RunEnvironment,
        RunField(
            label="environment",
            note="Python's version and each pinned package, as locked; and the variables that it sets",
            lines=change_lines.environment,
            canonical=_environment_digest,
        ),
    ]
    environment_variables: Annotated[
        dict[str, str],
        RunField(
            label="environment variables",
            note="name and value of those that the run sets",
            lines=change_lines.items("variable {name}"),
            canonical=_all_variables,
            show="Environment variables",
        ),
    ] = {}
    secret_variables: Annotated[
        tuple[str, ...],
        RunField(
            label="secret variables",
            note="their names. Values are left out, because the digest of a short secret gives it away",
            read=_secret_names,
            lines=change_lines.members("secret variable {name}"),
            canonical=_sorted_secrets,
            show="Environment variables",
        ),
    ] = ()
    distribution: Annotated[
        dict[str, str | bool | int | float],
        RunField(
            label="distribution",
            note="its kind, node and process counts, and the options that are not defaults",
            lines=change_lines.items("distribution {name}"),
            canonical=_distribution_options,
        ),
    ] = {"kind": "single", "node_count": 1}
    trigger: Annotated[str, RunField(label="trigger", note="any text: another one trains the same again")] = ""

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, Any], environment: RunEnvironment | None = None) -> RunSpec:
        """Read a spec from a resource's inputs; whole numbers are integers and all values known.

        Args:
            inputs: A training run's completed inputs.
            environment: Its locked environment, where that is known better than the inputs say it.
        """
        values = {name: read_property(name, inputs) for name in COUNTED}
        return cls.model_validate({**values, **({"environment": environment} if environment else {})})

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 that names the run."""
        return digests.of_json({"version": VERSION, **self.parts})

    @property
    def parts(self) -> dict[str, object]:
        """What the fingerprint covers, by field; a field at its default is left out."""
        defaults = _default_parts()
        parts = {name: _canonical(name, self) for name in COUNTED}
        return {name: part for name, part in parts.items() if name not in defaults or part != defaults[name]}

    @property
    def program(self) -> str:
        """What Python is started with, in words: the script, or `-m` and the module."""
        return self.script or f"-m {self.module}"

    @property
    def run_id(self) -> str:
        """The fingerprint's first 16 digits: the run directory's name."""
        return self.fingerprint[:ID_LENGTH]


class RunSettings(BaseModel):
    """How a run is looked after and what it does about failures. No part of the fingerprint.

    Attributes:
        timeout: Seconds that the running stage may last; none for no limit.
        max_cost: What its nodes may cost, all attempts together, in the compute's currency; none for no limit.
        grace: Seconds between SIGTERM and SIGKILL.
        max_attempts: How often one submission may start the script, for causes that another start can cure.
        backoff: Seconds before the second start; doubles for each further one, up to five minutes.
        retry_exit_codes: Exit codes of the script that are worth another start.
        on_disconnect: Whether the run goes on, or is stopped, when nobody follows it any more.
        system_metrics: Seconds between two samples of the nodes' machines; 0 for none.
        log_limit: MiB of the log, after which its middle is left out; 0 for no limit.
        allow_network: Whether processes that take orders from whoever reaches them share this machine's network.
    """

    model_config = ConfigDict(defer_build=True)

    timeout: Annotated[float | None, RunField(label="timeout", note="a limit, not content", show=JSON_ALONE)] = None
    max_cost: Annotated[float | None, RunField(label="max cost", note="a limit, not content", show=JSON_ALONE)] = Field(
        default=None, gt=0
    )
    grace: Annotated[
        float, RunField(label="grace", note="seconds for a checkpoint before the run is killed", show=JSON_ALONE)
    ] = 10.0
    max_attempts: Annotated[
        int, RunField(label="attempts", note="how often one `up` may start the script", show=JSON_ALONE)
    ] = Field(default=1, ge=1, le=100)
    backoff: Annotated[float, RunField(label="backoff", note="seconds between attempts", show=JSON_ALONE)] = Field(
        default=2.0, ge=0
    )
    retry_exit_codes: Annotated[
        tuple[int, ...],
        RunField(label="retried exit codes", note="those worth another start", show=JSON_ALONE),
    ] = ()
    on_disconnect: Annotated[
        Literal["continue", "stop"],
        RunField(label="on disconnect", note="whether the run goes on when nobody follows it", show=JSON_ALONE),
    ] = "continue"
    system_metrics: Annotated[
        float, RunField(label="system metrics", note="how often the nodes' machines are measured", show=JSON_ALONE)
    ] = Field(default=10.0, ge=0)
    log_limit: Annotated[
        float, RunField(label="log limit", note="how much of a log is kept, in MiB", show=JSON_ALONE)
    ] = Field(default=100.0, ge=0)
    allow_network: Annotated[
        bool,
        RunField(
            label="allow network", note="whether TensorFlow's servers share this machine's network", show=JSON_ALONE
        ),
    ] = False


COUNTED = run_fields(RunSpec)
"""What decides a run's result; anything else may change without training anew."""
SETTINGS = run_fields(RunSettings)
"""How a run is looked after."""


def read_property(name: str, properties: Mapping[str, Any]) -> Any:
    """The value of a counted field in a resource's properties; its default where it is left out."""
    return _read(name, properties, COUNTED[name].read)


def compared_property(name: str, properties: Mapping[str, Any]) -> Any:
    """What the reason line compares of a counted field; its default where it is left out."""
    return _read(name, properties, COUNTED[name].compared or COUNTED[name].read)


def _read(name: str, properties: Mapping[str, Any], read: Callable[[Any], Any] | None) -> Any:
    value = properties.get(name)
    if value is None:
        info: FieldInfo = RunSpec.model_fields[name]
        return None if info.is_required() else info.get_default(call_default_factory=False)
    return value if read is None else read(value)


def _canonical(name: str, spec: RunSpec) -> object:
    canonical = COUNTED[name].canonical
    return getattr(spec, name) if canonical is None else canonical(spec)


@functools.cache
def _default_parts() -> dict[str, object]:
    """What each field adds when it is left at its default."""
    blank = RunSpec(files={}, environment=RunEnvironment(digest=""))
    return {name: _canonical(name, blank) for name, info in RunSpec.model_fields.items() if not info.is_required()}
