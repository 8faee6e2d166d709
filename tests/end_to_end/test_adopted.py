"""Adopting through the real engine: preview fails for what is not there, nothing trains, nothing is fetched."""

import shutil

import pytest

from trainstack.core.workspace.workspace import Workspace

pytestmark = pytest.mark.end_to_end

MAKING = """
import pulumi
import trainstack as ts

workspace = ts.Workspace("shared")
cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace))
data = ts.Dataset("numbers", ts.DatasetArgs(workspace=workspace, paths=["numbers.txt"]))
env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"]))
run = ts.TrainingRun("sum", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster, environment=env,
    arguments={"--data": data.as_mount()},
))
model = ts.Model("total", ts.ModelArgs(run=run, path="outputs/total"))
pulumi.export("seen", pulumi.Output.all(run.run_id, data.digest, model.digest))
"""
ADOPTING = """
import pulumi
import trainstack as ts

workspace = ts.Workspace("shared")
data = ts.Dataset.get("numbers", workspace, version=1)
run = ts.TrainingRun.get("sum", workspace)
model = ts.Model.get("total", workspace)
pulumi.export("seen", pulumi.Output.all(run.run_id, data.digest, model.digest))
"""
SCRIPT = """
import pathlib, sys
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1], "numbers.txt")
pathlib.Path("outputs/total").write_text(str(sum(map(float, data.read_text().split()))))
"""


@pytest.mark.long
def test_what_one_program_made_another_adopts(project):
    project.write("__main__.py", ADOPTING)
    refused = project.preview(expect=None)
    assert refused.code != 0
    assert refused.lines("no workspace at")

    project.write("numbers.txt", "1 2 3")
    project.write("scripts/train.py", SCRIPT)
    project.write("__main__.py", MAKING)
    project.up()
    made = project.outputs()["seen"]
    workspace = Workspace.open(project.root / ".trainstack" / "shared")
    # Another stack would keep other state; here the first one's resources go, and what they made stays.
    project.pulumi("destroy", "--yes", "--skip-preview")
    shutil.rmtree(project.root / "programs" / "main" / "scripts")

    project.write("__main__.py", ADOPTING.replace('"numbers", workspace, version=1', '"numbers", workspace, version=7'))
    refused = project.preview(expect=None)
    assert refused.code != 0
    [line, *_] = refused.lines("no version 7")
    assert "dataset 'numbers' has no version 7: it has 1" in line

    project.write("__main__.py", ADOPTING)
    project.up()
    assert project.outputs()["seen"] == made
    project.unchanged()
    project.pulumi("refresh", "--yes", "--skip-preview")
    project.unchanged()
    assert len(list(workspace.runs.iterdir())) == 1
