"""A run directory with a copy of the agent in it, as the supervisor makes one, and real agents started on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trainstack.agent
from trainstack.agent.plan import Distribution, LaunchPlan, Single, free_ports
from trainstack.agent.reporting.report import NodeReport, read_report


class Launch:
    """One run directory and the agents that were started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents: list[subprocess.Popen[bytes]] = []
        package = folder / "agent" / "trainstack"
        shutil.copytree(
            Path(trainstack.agent.__file__).parent,
            package / "agent",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        (package / "__init__.py").touch()
        (folder / "code").mkdir()

    def write(
        self, script: str, *argv: str, distribution: Distribution | None = None, nodes: int = 1, **options: Any
    ) -> LaunchPlan:
        """Write the script and the plan."""
        (self.folder / "code" / "train.py").write_text(script)
        distribution = distribution or Single()
        plan = LaunchPlan(
            distribution=distribution,
            script="train.py",
            argv=argv,
            code=str(self.folder / "code"),
            outputs=str(self.folder / "outputs"),
            reports=str(self.folder / "nodes"),
            nodes=("127.0.0.1",) * nodes,
            ports=free_ports(distribution, nodes),
            **options,
        )
        plan.write(self.folder / "launch.json")
        return plan

    def start(self, node: int = 0, python: str = sys.executable, **variables: str) -> subprocess.Popen[bytes]:
        """Start the agent of one node; its output goes to a file."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder / "agent"), **variables}
        with (self.folder / "merged.txt").open("ab") as merged:
            agent = subprocess.Popen(
                [python, "-m", "trainstack.agent", "--plan", str(self.folder / "launch.json"), "--node", str(node)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=merged,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.agents.append(agent)
        return agent

    def run(self, python: str = sys.executable, seconds: float = 60, **variables: str) -> list[int]:
        """Start all nodes' agents, wait for them, and return their exit codes."""
        count = len(self.plan_nodes())
        agents = [self.start(node, python, **variables) for node in range(count)]
        deadline = time.monotonic() + seconds
        return [agent.wait(max(0.1, deadline - time.monotonic())) for agent in agents]

    def plan_nodes(self) -> tuple[str, ...]:
        from trainstack.agent.plan import read_plan

        return read_plan(self.folder / "launch.json").nodes

    def report(self, node: int = 0) -> NodeReport:
        report = read_report(self.folder / "nodes", node)
        assert report is not None
        return report

    def log(self, rank: int = 0) -> str:
        """What a rank printed, of which the agents' own lines are no part."""
        from trainstack.agent.plan import read_plan

        lines = [line for line in self.merged.splitlines(keepends=True) if not line.startswith("trainstack: ")]
        if read_plan(self.folder / "launch.json").task_count == 1:
            return "".join(lines)
        return "".join(line.removeprefix(f"[{rank}] ") for line in lines if line.startswith(f"[{rank}] "))

    @property
    def merged(self) -> str:
        return (self.folder / "merged.txt").read_text()

    def until(self, condition: Callable[[], Any], seconds: float = 20) -> Any:
        """Wait until `condition` returns something true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := condition():
                    return found
            except (OSError, AssertionError):
                pass
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s; the agents printed:\n{self.merged}")

    def close(self) -> None:
        for agent in self.agents:
            if agent.poll() is None:
                agent.kill()
                agent.wait()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """A fresh run directory; agents that still run afterwards are killed."""
    made = Launch(tmp_path)
    yield made
    made.close()


def runs(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process is there and not a zombie."""
    return runs
