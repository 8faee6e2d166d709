"""What is known of a run before it is submitted: its id, and what a finished run of that id came to."""

from __future__ import annotations

from typing import Any

from trainstack.core.properties import integral
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.fields import COUNTED, RunSpec, read_property
from trainstack.core.runs.record import Status
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.store_cache import stored_path
from trainstack.errors import TrainstackError
from trainstack.provider.base import Properties, finite, known, workspace_of


def known_run(inputs: Properties) -> Properties:
    """Outputs of a run that its completed inputs decide already.

    Args:
        inputs: A training run's completed inputs; unknown values are `UNKNOWN`.

    Returns:
        `run_id` and `fingerprint` where everything that counts is known; of a run that the workspace has finished also
        `status`, `duration`, `metrics` and `directory`; nothing else.
    """
    counted: dict[str, Any] = {name: read_property(name, inputs) for name in COUNTED}
    if not known(counted):
        return {}
    spec = RunSpec.from_inputs(integral(inputs))
    outputs: Properties = {"run_id": spec.run_id, "fingerprint": spec.fingerprint}
    try:
        run = RunDirectory(workspace_of(inputs).run(spec.run_id)) if known(inputs["workspace"]) else None
        record = run.read() if run else None
    except TrainstackError:
        # No such run or workspace yet; a damaged record is mended, and spoken of, when the run is submitted.
        return outputs
    if run is None or record is None or record.status is not Status.COMPLETED:
        return outputs
    return {
        **outputs,
        "status": record.status.value,
        "duration": round(record.duration or 0.0, 3),
        "metrics": finite(record.metrics),
        "directory": stored_path(run.root, project_root()),
    }
