"""A run that a workspace has already: adopted as it is; nothing trains."""

from __future__ import annotations

from trainstack.core.runs import artifacts, index
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution.submission import Outcome
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError
from trainstack.provider.adopted import AdoptedProvider
from trainstack.provider.base import Properties, log_of
from trainstack.provider.run_submission import outputs


class AdoptedRunProvider(AdoptedProvider):
    """A completed run."""

    identity = ("workspace", "run_id")
    content = ()

    def find(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Find the run by its id, the start of its id, or its name; else the newest completed one of the name."""
        version_or_id = inputs.get("version_or_id")
        if version_or_id is None:
            same_name = index.newest(workspace, name=inputs["name"])
            completed = [record.id for record in same_name if record.status is Status.COMPLETED]
            if not completed:
                reason = (
                    f"{len(same_name)} of that name did not complete" if same_name else "there is none of that name"
                )
                raise NotFoundError(f"no completed run {inputs['name']!r} in workspace {workspace.name}: {reason}")
            return {"run_id": completed[0]}
        directory = index.resolve(workspace, version_or_id)
        status = directory.read().status
        if status is not Status.COMPLETED:
            raise NotFoundError(f"run {directory.id} is {status.value}, not completed: only a completed one is adopted")
        return {"run_id": directory.id}

    def outputs(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Read the run's directory."""
        directory = RunDirectory(workspace.run(inputs["run_id"]))
        record = directory.read()
        lost = [f"outputs/{name} is gone" for name in record.outputs if not (directory.outputs / name).is_file()]
        return {**outputs(inputs, directory, record, Outcome.ADOPTED), "drift": lost}

    def repair(self, workspace: Workspace, inputs: Properties) -> None:
        """Put back outputs that are gone."""
        directory = RunDirectory(workspace.run(inputs["run_id"]))
        if lost := artifacts.restore(directory, directory.read(), workspace.blobs):
            log_of(inputs).warn(f"{', '.join(lost)} cannot be put back: no copy is left in the workspace")
