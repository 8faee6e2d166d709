"""A program that several checkouts of one stack update, and how another checkout of it comes about."""

import shutil
from pathlib import Path

from tests.end_to_end.project import Project

PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("shared", ts.WorkspaceArgs(root=config.get("root")))
nodes = ts.Compute("nodes", ts.ComputeArgs(workspace=workspace, max_nodes=int(config.get("max_nodes") or 1)))
data = ts.Dataset("numbers", ts.DatasetArgs(workspace=workspace, paths=["numbers.txt"]))
env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"]))
run = ts.TrainingRun("sum", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=nodes, environment=env,
    arguments={"--data": data.as_mount(), "--times": int(config.get("times") or 1)},
))
model = ts.Model("total", ts.ModelArgs(run=run, path="outputs/total"))
pulumi.export("run", run.run_id)
pulumi.export("path", run.path)
pulumi.export("version", model.version)
pulumi.export("data", data.version)
"""
SCRIPT = """
import pathlib, sys
argument = lambda name: sys.argv[sys.argv.index(name) + 1]
total = sum(map(float, pathlib.Path(argument("--data"), "numbers.txt").read_text().split()))
pathlib.Path("outputs/total").write_text(str(total * int(argument("--times"))))
"""


def write_program(project: Project) -> None:
    """Write the program, its script and its data."""
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    project.write("numbers.txt", "1 2 3")


def another_checkout(first: Path, root: Path, variables: dict[str, str]) -> Project:
    """Copy a project as a clone of its repository has it: without the stack's state and without the workspace.

    Args:
        first: The folder of the project.
        root: The folder to make.
        variables: The environment of its commands, which names the state that both share.
    """
    shutil.copytree(first, root, ignore=shutil.ignore_patterns(".trainstack", ".pulumi-state"))
    return Project(root, variables)
