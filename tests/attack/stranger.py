"""Another user of the machine, whose programs the attacks run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

UID = 54321
Runs = Callable[[str], subprocess.CompletedProcess[str]]


def run_as_stranger() -> Runs:
    """Return what runs Python code as another user without rights; the test is skipped where that cannot be had."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("running a program as another user takes root and setpriv")
    # The interpreter of the machine: the one of this virtual environment may lie where the stranger cannot read.
    python = next((path for path in ("/usr/bin/python3", sys.executable) if _runs(path)), None)
    if python is None:
        pytest.skip("no Python here can be run by another user")

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*_prefix(), python, "-c", code], capture_output=True, text=True, cwd="/", timeout=60)

    return run


def _prefix() -> list[str]:
    return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]


def _runs(python: str) -> bool:
    return subprocess.run([*_prefix(), python, "-c", ""], capture_output=True, cwd="/").returncode == 0
