"""Model: files of a run, registered under a name and a version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from trainstack.components.adopted import Adopted, Promoted
from trainstack.components.base import (
    BaseResource,
    Component,
    absolute_path,
    in_clear,
    portable_path,
    program_errors,
    resource_inputs,
)
from trainstack.components.declaration import checked
from trainstack.components.sweep import Sweep
from trainstack.components.training_run import TrainingRun
from trainstack.components.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.provider.lazy_providers import LazyAdoptedModelProvider, LazyModelProvider, LazyPromotedModelProvider


@checked
@dataclass(frozen=True, kw_only=True)
class ResourceConfiguration:
    """What serving the model takes.

    Attributes:
        cpu: CPU cores.
        memory_in_gb: Memory, in GB.
    """

    cpu: float = 1.0
    memory_in_gb: float = 0.5


@checked
@dataclass(kw_only=True)
class ModelArgs:
    """Arguments of a model.

    Attributes:
        run: The run that made it, or the sweep whose best run did.
        path: Its path in the run's directory (`outputs/model`); without a run a folder, relative to the program's.
        workspace: The workspace, where there is no run.
        framework: What made it.
        framework_version: That framework's version; names the server that can serve it. By default what the environment
            of the run has.
        sample_input: An input in the serving protocol's form; warms the service up.
        resource_configuration: What serving it takes.
        description: What it is.
        tags: Anything to find it by.
        alias: Names for versions, such as `{"production": 4}` or `{"candidate": "latest"}`; one that is taken out here
            is removed, one that somebody else set stays.
        require: What the run's metrics must be before it is registered and aliases move: `{"accuracy": ">= 0.97"}`, or
            `{"accuracy_vs": "production"}` for at least what that version has (`"< production"` for a loss).
    """

    path: pulumi.Input[str]
    run: TrainingRun | Sweep | None = None
    workspace: Workspace | None = None
    framework: pulumi.Input[str] = "TensorFlow"
    framework_version: pulumi.Input[str] | None = None
    sample_input: Any = None
    resource_configuration: ResourceConfiguration | None = None
    description: pulumi.Input[str] = ""
    tags: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    alias: Mapping[str, pulumi.Input[int | str]] = field(default_factory=dict[str, pulumi.Input[int | str]])
    require: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])


class _Resource(BaseResource, module="trainstack", name="Model"):
    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    files: pulumi.Output[dict[str, str]]
    directory: pulumi.Output[str]
    contents: pulumi.Output[str]
    aliases: pulumi.Output[dict[str, int]]


class Model(Component):
    """A registered model. Versions are immutable; unchanged files make no new one.

    Attributes:
        workspace: The workspace that keeps it.
        name: Its name.
        version: Its version, from 1.
        digest: SHA-256 over its files.
        files: SHA-256 by path.
        path: The folder of the version's files, absolute.
        summary: Name, version, digest and path, for a stack's outputs.

    Example:
        ```python
        model = ts.Model("tf-dnn-mnist", ts.ModelArgs(run=run, path="outputs/model"))
        ```
    """

    kind = "Model"

    def __init__(
        self, name: str, args: ModelArgs | Adopted | Promoted, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        run = args.run if isinstance(args, ModelArgs) else None
        workspace = run.workspace if run else args.workspace
        with program_errors(f"model {name}"):
            if workspace is None:
                raise InvalidInputError("give the run that made it, or a workspace for a folder of your own")
        super().__init__(name, opts)
        self.workspace = workspace
        self.name = name
        if isinstance(args, Adopted):
            provider, inputs = LazyAdoptedModelProvider(), args.inputs(name)
        elif isinstance(args, Promoted):
            provider, inputs = LazyPromotedModelProvider(), args.inputs(name)
        else:
            provider, inputs = LazyModelProvider(), _inputs(name, args, workspace)
        self._resource = _Resource(provider, name, inputs, self._child_options())
        self.version = self._resource.version
        self.digest = self._resource.digest
        self.files = self._resource.files
        self.path = absolute_path(self._resource.directory)
        self.summary = pulumi.Output.all(name=name, version=self.version, digest=self.digest, path=self.path)
        self.register_outputs({"name": name, "version": self.version, "digest": self.digest})

    @classmethod
    def get(
        cls,
        name: str,
        workspace: Workspace,
        version: pulumi.Input[int] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Model:
        """Adopt a model that the workspace has: nothing is registered, and preview fails when there is none.

        Args:
            name: The name it is registered under.
            workspace: The workspace.
            version: Its version; the newest when left out.
            opts: Pulumi's options.
        """
        return cls(name, Adopted(workspace, version), opts)

    @classmethod
    def promote(
        cls,
        name: str,
        workspace: Workspace,
        summary: pulumi.Input[Any],
        alias: Mapping[str, pulumi.Input[int | str]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Model:
        """Take over the model that another stack made: the same bytes, nothing trains.

        Bytes that the workspace has already under this name make no new version, so going back is going back. Preview
        fails when the other stack's workspace cannot be read from here, or holds other bytes than it exports.

        Args:
            name: The name to register it under.
            workspace: The workspace that gets it; it may be the one that has it.
            summary: The other stack's `model.summary`, from a `pulumi.StackReference`.
            alias: Names for versions, such as `{"production": "latest"}`, the one that is promoted.
            opts: Pulumi's options.

        Example:
            ```python
            dev = pulumi.StackReference("organization/mnist/dev")
            model = ts.Model.promote("tf-dnn-mnist", workspace, dev.require_output("model"))
            ```
        """
        return cls(name, Promoted(workspace, summary, alias or {}), opts)


def _inputs(name: str, args: ModelArgs, workspace: Workspace) -> dict[str, Any]:
    inputs = resource_inputs(
        args,
        omit=("run",),
        name=name,
        workspace=workspace.root,
        path=args.path if args.run else portable_path(args.path),
        run_id=args.run.run_id if args.run else None,
        # As text, so that a diff shows an image in one line.
        sample_input=_text(args.sample_input),
    )
    return in_clear(f"model {name}", inputs)


def _text(sample: Any) -> pulumi.Input[str] | None:
    if sample is None:
        return None
    try:
        return json.dumps(sample)
    except TypeError:
        # An output somewhere inside; looking for one in every number of an image would make each preview longer.
        return pulumi.Output.json_dumps(sample)
