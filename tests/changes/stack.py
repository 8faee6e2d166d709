"""A stack under test: change its files, ask what that does, and see what it did."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.changes.program_host import ProgramHost
from tests.end_to_end.project import Project
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.runs.index import newest
from trainstack.core.workspace.workspace import Workspace


@dataclass
class Stack:
    """A copy of the finished stack.

    Attributes:
        project: Its Pulumi project.
        web: The folder that the remote dataset is served from.
        root: The workspace's folder, relative to the project.
        host: What runs the program; Pulumi's language plugin where there is none.
    """

    project: Project
    web: Path
    root: str = ".trainstack/tiny"
    host: ProgramHost | None = None

    @property
    def source(self) -> Path:
        """The program's folder."""
        return self.project.root / "programs" / "main"

    @property
    def workspace(self) -> Path:
        return self.project.root / self.root

    def replace(self, old: str, new: str, name: str = "__main__.py") -> None:
        """Put other text into a file."""
        path = self.source / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    def plan(self) -> dict[str, Any]:
        """What `trainstack plan` says of a preview."""
        preview = subprocess.run(
            ["pulumi", "preview", "--json", "--non-interactive", *self._host()],
            cwd=self.project.root, env=self.project.environment(), capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert preview.returncode == 0, preview.stdout + preview.stderr
        with contextlib.chdir(self.project.root):
            plan = CliRunner().invoke(app, ["plan", "--json", "-"], input=preview.stdout)
        assert plan.exit_code == 0, plan.output
        return json.loads(plan.stdout)

    def attempts(self) -> dict[str, int]:
        """How often each run of the workspace was started, by name and id."""
        runs = newest(Workspace.open(self.workspace)) if self.workspace.exists() else []
        return {f"{run.name} {run.id}": run.attempt for run in runs}

    def up(self, *options: str) -> set[str]:
        """Update, and say which runs trained."""
        before = self.attempts()
        self.project.pulumi("up", "--yes", "--skip-preview", *self._host(), *options)
        return {run.split()[0] for run, count in self.attempts().items() if count != before.get(run)}

    def unchanged(self) -> None:
        """Fail where a preview finds a change."""
        self.project.pulumi("preview", "--expect-no-changes", "--diff", *self._host())

    def _host(self) -> list[str]:
        if self.host is None:
            return []
        self.host.folder = self.source
        self.project.variables["PULUMI_DEBUG_PROVIDERS"] = f"pulumi-python:{self.host.provider_port}"
        return [f"--client=127.0.0.1:{self.host.port}"]


def link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)
