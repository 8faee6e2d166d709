"""What an organisation lets a stack do: rules over resources' inputs, and the pack that Pulumi's engine asks."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Serve the pack to the engine; the entry point of `pulumi-analyzer-policy-trainstack`.

    The engine starts it by that name, in the pack's folder, for a `PulumiPolicy.yaml` with `runtime: trainstack`.
    """
    _into_project()
    try:
        from trainstack.policy.pack import serve
    except ImportError as exc:
        if exc.name != "pulumi_policy":
            raise
        sys.exit("the policy pack needs Pulumi's policy SDK: install trainstack[policy]")
    serve()


def _into_project() -> None:
    """Go where the engine was started: workspaces are told relative to the project, and the pack may lie elsewhere."""
    candidates = [Path(f"/proc/{os.getppid()}/cwd"), Path(os.environ.get("PWD") or ".")]
    for folder in candidates:
        if folder.is_dir():
            os.chdir(folder)
            return
