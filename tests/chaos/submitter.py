"""Stands for Pulumi's provider: submits a run and follows it, as a process of its own that can be killed.

`python submitter.py WORKSPACE SOURCE REQUEST`: ends with 0 when the run has completed, with 1 and the reason when not.
"""

import json
import sys
from pathlib import Path

from trainstack.core.runs.execution import submission
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError

if __name__ == "__main__":
    root, source, request = map(Path, sys.argv[1:])
    try:
        submitted = submission.submit(
            Workspace.open(root), RunRequest.model_validate(json.loads(request.read_text())), source, {}
        )
        print(submitted.outcome.value, submitted.note, flush=True)
        submission.follow(submitted.directory, lambda line: print(line, flush=True))
    except TrainstackError as exc:
        sys.exit(str(exc))
