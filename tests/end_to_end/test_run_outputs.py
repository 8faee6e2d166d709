"""Pipelines through the real engine: what one run leaves is the data of the next."""

import pytest
from tests.core.sweeps.conftest import SCRIPT
from tests.end_to_end.project import Project

from trainstack.core.runs.index import newest
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

SWEEP = """
search = ts.Sweep("search", ts.SweepArgs(
    run=ts.TrainingRunArgs(source_directory="search", script="train.py", compute=nodes, environment=tools),
    space={"--rate": ts.choice(0.1, 0.3)}, metric="score", sampler="grid"))
best = ts.TrainingRun("best", ts.TrainingRunArgs(
    source_directory="fit", script="show.py", compute=nodes, environment=tools,
    arguments={"--best": search.output("outputs/rate").as_mount()}))
"""
SHOW = """
import pathlib, sys
pathlib.Path("outputs/rate").write_text(next(pathlib.Path(sys.argv[2]).iterdir()).read_text())
"""


def workspace_of(project: Project) -> Workspace:
    return Workspace.open(project.root / ".trainstack" / "tiny")


def trained(project: Project) -> list[str]:
    return sorted(run.name for run in newest(workspace_of(project)))


@pytest.mark.parametrize(
    "spelling", [name if name == "a mount" else pytest.param(name, marks=pytest.mark.long) for name in SPELLINGS]
)
def test_a_run_trains_on_what_another_left(project, spelling):
    source, mount = SPELLINGS[spelling]
    program = PROGRAM.replace("SOURCE", source).replace("MOUNT", mount)
    project.write("__main__.py", program)
    project.write("prepare/prepare.py", PREPARE)
    project.write("fit/fit.py", FIT)
    project.preview()
    project.up()
    runs = {run.name: run for run in newest(workspace_of(project))}
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


def test_a_run_trains_on_what_the_best_trial_left(project):
    head = PROGRAM[: PROGRAM.index("prepare = ")]
    project.write("__main__.py", head + SWEEP)
    project.write("search/train.py", f"{SCRIPT}\npathlib.Path('outputs/rate').write_text(str(rate))\n")
    project.write("fit/show.py", SHOW)
    project.preview()
    project.up()
    [best] = [run for run in newest(workspace_of(project)) if run.name == "best"]
    assert (workspace_of(project).run(best.id) / "outputs/rate").read_text() == "0.3"
    project.unchanged()
    # Another place is no other search: what its best trial left is known, and nothing trains.
    project.write("__main__.py", (head + SWEEP).replace("max_nodes=2", "max_nodes=1"))
    assert "may change" not in project.preview().text
    # Another search may have another best trial, which is known only when it is done.
    project.write("__main__.py", (head + SWEEP).replace("choice(0.1, 0.3)", "choice(0.1, 0.2, 0.3)"))
    assert "dataset search-rate may change" in project.preview().text
    project.up()
    assert trained(project).count("best") == 1
    project.unchanged()
