"""TrainingRun: a script, run once for what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from trainstack.components.adopted import Adopted
from trainstack.components.base import (
    BaseResource,
    absolute_path,
    exactly,
    in_clear,
    not_secret,
    portable_path,
    resource_inputs,
)
from trainstack.components.compute import Compute
from trainstack.components.dataset import Dataset, DatasetReference, RunOutput
from trainstack.components.declaration import checked
from trainstack.components.distribution import Horovod, TensorFlow
from trainstack.components.environment import Environment
from trainstack.components.run_outputs import RunOutputs
from trainstack.components.workspace import Workspace
from trainstack.provider.lazy_providers import LazyAdoptedRunProvider, LazyTrainingRunProvider

Argument = pulumi.Input[str | int | float | bool | None] | DatasetReference
Value = Argument | Sequence[Argument]


@checked
@dataclass(kw_only=True)
class TrainingRunArgs:
    """Arguments of a training run.

    Attributes:
        source_directory: Folder of the code, relative to the program's; all its files but ignored ones are the run's.
        script: The script in it; or leave it out and name a `module`.
        module: A module in it, run as `python -m` does: `package.train`.
        compute: Where to run.
        environment: What the script's Python has.
        arguments: The script's arguments by name (no order), or as a list. A dataset's `as_mount()` is a value.
        distribution: How to spread it; one process when left out.
        environment_variables: Variables for the script; part of what the run is.
        secret_variables: Variables whose values are secret; their names are part of what the run is.
        timeout: Seconds after which it is ended.
        max_cost: What its nodes may cost, all attempts together, before it is ended; it goes on from what it has saved
            when that is raised. In US dollars, or in `trainstack:currency` where the stack has prices of its own.
        grace: Seconds between asking it to end and ending it.
        max_attempts: How often one `up` may start the script: again when a signal, a lost node or a lack of memory
            ended it, never for an exit code of its own unless that is in `retry_exit_codes`.
        backoff: Seconds before the second start; doubles for each further one, up to five minutes.
        retry_exit_codes: Exit codes of the script that are worth another start.
        on_disconnect: `stop` ends the run when no `up` has followed it for ten seconds; else it goes on.
        system_metrics: Seconds between two looks at processor, memory, disk, network and GPUs of each node, which the
            run history shows; 0 for none.
        log_limit: MiB of the run's log, after which its middle is left out and its end kept; 0 for no limit.
        allow_network: Let the processes of `TensorFlow(…)` use this machine's network. Its servers take orders from
            whoever reaches their ports, so without it they have a network of their own, with no way out either.
        trigger: Another text trains the same again.
        source_limit_bytes: The largest source folder to accept, in bytes.
    """

    source_directory: pulumi.Input[str]
    script: pulumi.Input[str] = ""
    module: pulumi.Input[str] = ""
    compute: Compute
    environment: Environment
    arguments: Mapping[str, Value] | Sequence[Argument] = field(default_factory=dict[str, Value])
    distribution: Horovod | TensorFlow | None = None
    environment_variables: Mapping[str, pulumi.Input[Any]] = field(default_factory=dict[str, pulumi.Input[Any]])
    secret_variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    timeout: pulumi.Input[float] | None = None
    max_cost: pulumi.Input[float] | None = None
    grace: pulumi.Input[float] = 10
    max_attempts: pulumi.Input[int] = 1
    backoff: pulumi.Input[float] = 2
    retry_exit_codes: Sequence[pulumi.Input[int]] = ()
    on_disconnect: pulumi.Input[str] = "continue"
    system_metrics: pulumi.Input[float] = 10
    log_limit: pulumi.Input[float] = 100
    allow_network: pulumi.Input[bool] = False
    trigger: pulumi.Input[str] = ""
    source_limit_bytes: pulumi.Input[int] | None = None


class _Resource(BaseResource, module="trainstack", name="TrainingRun"):
    run_id: pulumi.Output[str]
    fingerprint: pulumi.Output[str]
    status: pulumi.Output[str]
    outcome: pulumi.Output[str]
    attempt: pulumi.Output[int]
    stages: pulumi.Output[list[dict[str, Any]]]
    duration: pulumi.Output[float]
    metrics: pulumi.Output[dict[str, float]]
    directory: pulumi.Output[str]
    output_files: pulumi.Output[dict[str, str]]
    files: pulumi.Output[dict[str, str]]
    snapshot: pulumi.Output[str]


class TrainingRun(RunOutputs):
    """A script run to its end on a compute, in an environment, on datasets.

    It is named by what it is: the same code, arguments, data, environment and distribution is the same run, and a
    finished run is not run again. Its row shows the stage and the metrics while it runs; `pulumi preview` names what
    would train it anew.

    Attributes:
        workspace: The workspace that keeps it.
        run_id: Its id.
        fingerprint: SHA-256 over what it is.
        status: `completed`, once there is a resource.
        stages: Name, seconds and reason of preparing, scaling, running and finalizing.
        duration: Seconds that it was running on all its nodes; waiting for them or for its environment does not count.
        metrics: Last value of each metric that the script logged with MLflow.
        directory: Its folder, relative to the project when inside it.
        path: Its folder, absolute.
        logs: Its log of all ranks, a file.

    Example:
        ```python
        run = ts.TrainingRun("mnist-mlp", ts.TrainingRunArgs(
            source_directory="scripts", script="train.py", arguments={"--data-folder": mnist.as_mount()},
            compute=cluster, environment=tf))
        ```
    """

    kind = "TrainingRun"

    def __init__(self, name: str, args: TrainingRunArgs | Adopted, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        if isinstance(args, Adopted):
            self.workspace = args.workspace
            provider, inputs, after = LazyAdoptedRunProvider(), args.inputs(name), []
        else:
            self.workspace = args.compute.workspace
            provider, inputs, after = (
                LazyTrainingRunProvider(),
                run_inputs(name, args),
                [args.environment, args.compute],
            )
        self._resource = _Resource(provider, name, inputs, self._child_options(after))
        self.run_id = self._resource.run_id
        self.fingerprint = self._resource.fingerprint
        self.status = self._resource.status
        self.stages = self._resource.stages
        self.duration = self._resource.duration
        self.metrics = self._resource.metrics
        self.directory = self._resource.directory
        self.path = absolute_path(self.directory)
        self.logs = self.path.apply(lambda path: f"{path}/logs/run.txt")
        self.register_outputs({"run_id": self.run_id, "metrics": self.metrics, "duration": self.duration})

    @classmethod
    def get(
        cls,
        name: str,
        workspace: Workspace,
        run: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> TrainingRun:
        """Adopt a completed run that the workspace has: nothing trains, and preview fails when there is none.

        Args:
            name: The run's name.
            workspace: The workspace.
            run: Its id or the start of one; the newest completed run of the name when left out.
            opts: Pulumi's options.
        """
        return cls(name, Adopted(workspace, run), opts)

    def download_files(
        self, prefix: str = "", output_directory: str = ".", *, append_prefix: bool = True
    ) -> pulumi.Output[list[str]]:
        """Copy the run's files below `prefix` (`outputs/model`, `logs`, …) into a folder, once it has completed.

        A preview names the copies and makes none.

        Args:
            prefix: The start of the files' paths in the run's directory.
            output_directory: Where to, relative to the program's folder.
            append_prefix: Whether the copies keep the prefix's folders: `outputs/model/a` goes to `outputs/model/a`
                or, without them, to `a`.

        Returns:
            The paths of the copies.
        """
        from trainstack.core.runs import artifacts

        to = Path.cwd() / output_directory
        preview = pulumi.runtime.is_dry_run()

        def download(directory: str) -> list[str]:
            if preview:
                planned = artifacts.copies(Path(directory), prefix, to, append_prefix=append_prefix)
                return [str(copy) for copy in planned.values()]
            return artifacts.download(Path(directory), prefix, to, append_prefix=append_prefix)

        return self.path.apply(download)


def run_inputs(name: str, args: TrainingRunArgs) -> dict[str, Any]:
    """The inputs of a run: each argument under its own name, but for those that become something else."""
    datasets: dict[str, DatasetReference] = {}
    images = args.compute.workspace.images
    inputs = resource_inputs(
        args,
        workspace=args.compute.workspace.root,
        name=name,
        source_directory=portable_path(args.source_directory),
        arguments=_arguments(name, args.arguments, datasets),
        datasets={key: reference.dataset.reference(reference.mode) for key, reference in datasets.items()},
        environment_spec=args.environment.spec,
        **images,
        # Known in preview whenever the lock can be resolved then; the provider fills it in.
        environment={},
        environment_variables={
            key: exactly(_in_clear(name, f"variable {key}", value)) for key, value in args.environment_variables.items()
        },
        secret_variables={key: pulumi.Output.secret(value) for key, value in args.secret_variables.items()},
        distribution=args.distribution.spec() if args.distribution else {"kind": "single"},
        compute=args.compute.spec,
    )
    return in_clear(f"run {name}", inputs, secret=("secret_variables", *images))


def _arguments(
    run: str, arguments: Mapping[str, Value] | Sequence[Argument], datasets: dict[str, DatasetReference]
) -> Any:
    """Put a placeholder where a dataset stands, and collect the datasets."""

    def with_placeholders(name: object, value: Any) -> Any:
        if isinstance(value, DatasetReference):
            datasets[value.dataset.name] = value
            return f"${{dataset:{value.dataset.name}}}"
        if isinstance(value, list | tuple):
            return [with_placeholders(name, item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, pulumi.Resource | RunOutput) or callable(value):
            raise pulumi.RunError(f"run {run}: argument {name} is {_mistaken(value)}")
        return exactly(_in_clear(run, f"argument {name}", value))

    if isinstance(arguments, Mapping):
        return {name: with_placeholders(name, value) for name, value in arguments.items()}
    return [with_placeholders(index, value) for index, value in enumerate(arguments)]


def _mistaken(value: Any) -> str:
    """Say what stands where a value belongs, and what to write."""
    if isinstance(value, Dataset | RunOutput):
        return "a dataset itself: write as_mount() or as_download() behind it"
    if isinstance(value, pulumi.Resource):
        return f"a {type(value).__name__} itself: give one of its outputs"
    return f"the method {value.__name__} itself: write {value.__name__}()"


def _in_clear(run: str, subject: str, value: Any) -> Any:
    """A value that everybody may see: it is in the fingerprint, in the reason line and in the run's files."""
    refusal = f"run {run}: {subject} is a secret: give it in secret_variables, and read that variable in the script"
    return not_secret(value, refusal)
