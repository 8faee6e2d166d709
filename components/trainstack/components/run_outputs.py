"""What a run leaves, for another run to train on: of a training run, or of a sweep's best trial."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pulumi

from trainstack.components.base import Component, program_errors
from trainstack.components.dataset import RunOutput
from trainstack.components.workspace import Workspace
from trainstack.errors import InvalidInputError


class RunOutputs(Component):
    """A component with a run whose files others use.

    Attributes:
        name: Its name.
        workspace: The workspace that keeps the run.
        path: The run's folder, absolute.
    """

    workspace: Workspace
    path: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(name, opts)
        self.name = name
        self._outputs: dict[tuple[str, ...], RunOutput] = {}

    def output(self, path: str) -> RunOutput:
        """Stand for a file or folder that the run leaves, as a source of a dataset or mounted into another run.

        Args:
            path: Its path in the run's directory, such as `outputs/features`.

        Raises:
            pulumi.RunError: The path leads out of the run's directory.

        Example:
            ```python
            arguments = {"--features": run.output("outputs/features").as_mount()}
            ```
        """
        parts = PurePosixPath(path).parts
        with program_errors(f"{self.kind} {self.name}"):
            if not parts or ".." in parts or path.startswith("/"):
                raise InvalidInputError(f"output {path!r} must lead into the run, like outputs/features")
        if parts not in self._outputs:
            below = parts[1:] if parts[0] == "outputs" and len(parts) > 1 else parts
            dataset = re.sub(r"[^A-Za-z0-9._-]", "-", "-".join((self.name, *below)))
            where = self.path.apply(lambda directory: "/".join((directory, *parts)))
            self._outputs[parts] = RunOutput(self, dataset, self.workspace, where)
        return self._outputs[parts]
