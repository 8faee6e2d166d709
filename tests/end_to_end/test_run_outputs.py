"""Pipelines through the real engine: what one run leaves is the data of the next."""

import pytest
from tests.end_to_end.project import Project

from trainstack.core.runs.directory import history
from trainstack.core.workspace.workspace import Workspace

pytestmark = pytest.mark.end_to_end

PROGRAM = """
import trainstack as ts

workspace = ts.Workspace("tiny")
nodes = ts.Compute("nodes", ts.ComputeArgs(workspace=workspace, max_nodes=2))
tools = ts.Environment("tools", ts.EnvironmentArgs(packages=["six==1.17.0"]))
prepare = ts.TrainingRun("prepare", ts.TrainingRunArgs(
    source_directory="prepare", script="prepare.py", compute=nodes, environment=tools, arguments={"--rows": 2}))
SOURCE
fit = ts.TrainingRun("fit", ts.TrainingRunArgs(
    source_directory="fit", script="fit.py", compute=nodes, environment=tools, arguments={"--data": MOUNT}))
"""
PREPARE = """
import pathlib, sys
folder = pathlib.Path("outputs/features")
folder.mkdir(parents=True)
(folder / "rows.csv").write_text("x\\n" * min(2, int(sys.argv[2])))
"""
FIT = """
import pathlib, sys
rows = pathlib.Path(sys.argv[2], "rows.csv").read_text()
pathlib.Path("outputs/rows").write_text(str(len(rows.split())))
"""
SPELLINGS = {
    "a mount": ("", 'prepare.output("outputs/features").as_mount()'),
    "a source": (
        'data = ts.Dataset("data", ts.DatasetArgs(workspace=workspace, paths=[prepare.output("outputs/features")]))',
        "data.as_mount()",
    ),
    "a path that the program makes": (
        "where = prepare.path.apply(lambda path: f'{path}/outputs/features')\n"
        'data = ts.Dataset("data", ts.DatasetArgs(workspace=workspace, paths=[where]))',
        "data.as_mount()",
    ),
}


def trained(project: Project) -> list[str]:
    return sorted(run.name for run in history(Workspace.open(project.root / ".trainstack" / "tiny")))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_run_trains_on_what_another_left(project, spelling):
    source, mount = SPELLINGS[spelling]
    program = PROGRAM.replace("SOURCE", source).replace("MOUNT", mount)
    project.write("__main__.py", program)
    project.write("prepare/prepare.py", PREPARE)
    project.write("fit/fit.py", FIT)
    project.preview()
    project.up()
    runs = {run.name: run for run in history(Workspace.open(project.root / ".trainstack" / "tiny"))}
    assert (project.root / ".trainstack/tiny/runs" / runs["fit"].id / "outputs/rows").read_text() == "2"
    project.unchanged()
    # Other work with the same outcome: known only when it is done, and then nothing to train on anew.
    project.write("__main__.py", program.replace('"--rows": 2', '"--rows": 3'))
    preview = project.preview().text
    assert "--rows 2 → 3" in preview
    assert "may change" in preview
    project.up()
    assert trained(project) == ["fit", "prepare", "prepare"]
    project.unchanged()
