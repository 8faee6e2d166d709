"""The example of `tests/changes` as a DVC pipeline, and what DVC says of it: for `benchmarks.changes_dvc`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.changes.example import FILES, PROGRAM

DEPENDENCIES = {
    "DVC, folders": ("scripts", "reports"),
    "DVC, files": ("scripts/fit.py, scripts/net.py, scripts/sub/more.py", "reports/report.py"),
}
"""What the stages depend on, by layout."""
STAGES = f"""\
stages:
  fit:
    cmd: {sys.executable} scripts/fit.py --data data
    deps: [CODE, data]
    params: [fit]
    outs: [outputs/line]
  report:
    cmd: {sys.executable} reports/report.py
    deps: [REPORT, outputs/line]
    params: [report]
"""
WORKER = """
import json, os, sys
from dvc.repo import Repo
for line in sys.stdin:
    os.chdir(json.loads(line))
    try:
        with Repo() as repo:
            status, params = repo.status(), repo.params.diff().get("diff")
            answer = {"status": status, "params": params, "data": repo.data_status(granular=True)}
    except Exception as exc:
        answer = {"error": str(exc)}
    print(json.dumps(answer, default=str), flush=True)
"""
"""What `dvc status`, `dvc params diff` and `dvc data status --granular` print as JSON, of one project after another.

An error of theirs is an answer.
"""


class Dvc:
    """DVC, loaded once: its start takes longer than its answers."""

    def __init__(self, python: str) -> None:
        self.python = python
        command = [python, "-c", WORKER]
        self._worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, project: Path) -> dict[str, Any]:
        """What DVC says of a project."""
        if self._worker.stdin is None or self._worker.stdout is None:
            raise AssertionError("both are pipes")
        self._worker.stdin.write(f"{json.dumps(str(project))}\n")
        self._worker.stdin.flush()
        return json.loads(self._worker.stdout.readline())

    def run(self, project: Path, *arguments: str) -> None:
        """Run a command of its command line."""
        subprocess.run([self.python, "-m", "dvc", *arguments], cwd=project, stdout=subprocess.DEVNULL, check=True)


@dataclass
class DvcProject:
    """A copy of a reproduced DVC project; kinds of change edit it as they edit a stack.

    Attributes:
        source: Its folder.
        dvc: Who is asked about it.
    """

    source: Path
    dvc: Dvc

    def replace(self, old: str, new: str, name: str = "params.yaml") -> None:
        """Put other text into a file; what stands in the program of a stack stands in the parameters here."""
        path = self.source / name
        text = path.read_text()
        if old not in text:
            raise SystemExit(f"{old!r} is not in {name}")
        path.write_text(text.replace(old, new.replace("None", "null")))

    def take_ignore_file(self) -> None:
        """Let DVC read the ignore file of the code, where it reads one: not in a folder that a stage depends on."""
        rules = self.source / "scripts" / ".gitignore"
        if rules.exists():
            rules.rename(self.source / ".dvcignore")

    def causes(self) -> dict[str, set[str]]:
        """What DVC says has changed, by stage: paths and parameters."""
        self.take_ignore_file()
        answer = self.dvc.ask(self.source)
        if "error" in answer:
            return {"error": {answer["error"]}}
        causes: dict[str, set[str]] = {}
        for stage in answer["status"].keys() & {"fit", "report"}:
            entries = [entry for entry in answer["status"][stage] if isinstance(entry, dict)]
            paths = {path for entry in entries for changed in entry.values() for path in changed}
            causes[stage] = {name for path in paths for name in _details(answer, path, stage)}
        return causes


def _details(answer: dict[str, Any], path: str, stage: str) -> set[str]:
    """What of a parameter file or tracked folder has changed; else the path itself."""
    if path == "params.yaml":
        return {name.removeprefix(f"{stage}.") for name in answer["params"][path] if name.startswith(stage)}
    if path == "data":
        entries = [entry for group in answer["data"]["uncommitted"].values() for entry in group]
        texts = {text for entry in entries for text in (entry.values() if isinstance(entry, dict) else [entry])}
        return texts - {"data/"}
    return {path}


def dvc_project(root: Path, layout: str, dvc: Dvc) -> DvcProject:
    """The example as a DVC pipeline, run once."""
    project = DvcProject(root, dvc)
    code, report = DEPENDENCIES[layout]
    arguments = PROGRAM[PROGRAM.index('        "--k"') : PROGRAM.index("    },\n    environment_variables")]
    files = {name: text for name, text in FILES.items() if name != "__main__.py"}
    files["params.yaml"] = f'fit: {{\n{arguments}    }}\nreport: {{"--format": "text"}}\n'
    files["dvc.yaml"] = STAGES.replace("CODE", code).replace("REPORT", report)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project.take_ignore_file()
    _git(root, "init", "-q")
    for command in (["init", "-q"], ["add", "-q", "data"], ["repro", "-q"]):
        dvc.run(root, *command)
    _git(root, "add", "-A")
    _git(root, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "-m", "example")
    return project


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}, check=True)
