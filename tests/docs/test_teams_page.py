"""The page for teams, followed line by line: a laptop, a bucket, and a machine with an empty disk."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.end_to_end.project import Project, new_project

pytestmark = pytest.mark.end_to_end

PAGE = Path(__file__).parents[2] / "docs" / "teams.md"
REST = """
nodes = ts.Compute("nodes", ts.ComputeArgs(workspace=workspace, max_nodes=1))
env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"]))
run = ts.TrainingRun("fit", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=nodes, environment=env,
))
model = ts.Model("net", ts.ModelArgs(run=run, path="outputs/net"))
pulumi.export("run", run.run_id)
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def follow(project: Project, block: str, address: str) -> str:
    """Run a block's lines in a project's folder, as somebody would who copies them."""
    done = subprocess.run(
        ["bash", "-ec", block.replace("s3://team/mnist", address)],
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_team_gets_there_line_by_line(tmp_path, bucket_address):
    (program,) = blocks("python")
    begin, move, elsewhere = blocks("bash")
    state = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/laptop/.pulumi-state", "PULUMI_STACK": "test"}
    laptop = new_project(tmp_path / "laptop")
    laptop.variables = {**state, "HOME": str(tmp_path / "home"), "TRAINSTACK_CACHE": str(tmp_path / "cache")}
    laptop.write("__main__.py", program + REST)
    laptop.write("scripts/train.py", "open('outputs/net', 'w').write('weights')")
    follow(laptop, begin, bucket_address)
    trained = laptop.outputs()["run"]
    assert f"adopted finished run {trained}: nothing trains" in follow(laptop, move, bucket_address)
    shutil.rmtree(laptop.root / ".trainstack" / "team")
    shutil.rmtree(tmp_path / "cache" / "workspaces")

    runner = Project(tmp_path / "runner", {**state, "HOME": str(tmp_path / "other")})
    runner.variables["TRAINSTACK_CACHE"] = str(tmp_path / "other-cache")
    shutil.copytree(laptop.root, runner.root, ignore=shutil.ignore_patterns(".pulumi-state", ".trainstack"))
    (tmp_path / "other").mkdir()
    assert trained in follow(runner, elsewhere, bucket_address)
