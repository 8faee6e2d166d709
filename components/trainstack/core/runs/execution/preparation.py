"""The first stage of a run: its environment built, its code, data and agent laid out in its directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.execution import agent_folder, inputs, runtime
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.atomic import disk_errors
from trainstack.targets.base import Runtime, Target


def prepare(
    workspace: Workspace,
    directory: RunDirectory,
    request: RunRequest,
    target: Target,
    secrets: Mapping[str, str],
    because: Callable[[str], None],
) -> Runtime:
    """Make a run ready to start; what an earlier attempt laid out is laid out anew, checkpoints and outputs stay.

    Args:
        workspace: Where code and data are kept.
        directory: The run.
        request: What was submitted.
        target: Where it is going to run.
        secrets: What came with it.
        because: Told, in a few words, what takes time.

    Returns:
        The environment, where the nodes are.

    Raises:
        TrainstackError: The environment cannot be built, data or code is gone, or the disk is full.
    """
    ready = runtime.ready(request, secrets, because)
    because("code and data")
    shutil.rmtree(directory.root / "agent", ignore_errors=True)
    with disk_errors(directory.root):
        for folder in (directory.outputs, directory.logs, directory.checkpoints, directory.reports):
            folder.mkdir(parents=True, exist_ok=True)
    inputs.lay_out(workspace, directory, request, because)
    for folder in (directory.outputs, directory.logs):
        (directory.code / folder.name).symlink_to(folder)
    agent_folder.lay_out(directory.root / "agent")
    return ready
