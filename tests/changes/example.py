"""The project that every kind of change starts from: two runs, two datasets, a model, and what they stand on."""

from __future__ import annotations

PROGRAM = """\
import pulumi
import trainstack as ts

workspace = ts.Workspace("tiny")
nodes = ts.Compute("nodes", ts.ComputeArgs(workspace=workspace, max_nodes=2))
numbers = ts.Dataset("numbers", ts.DatasetArgs(workspace=workspace, paths=["data/*.txt"]))
page = ts.Dataset("page", ts.DatasetArgs(workspace=workspace, urls=["WEB/page.txt"]))
tools = ts.Environment("tools", ts.EnvironmentArgs(packages=["six==1.17.0"], variables={"MODE": "fast"}))
fit = ts.TrainingRun("fit", ts.TrainingRunArgs(
    source_directory="scripts",
    script="fit.py",
    compute=nodes,
    environment=tools,
    arguments={
        "--data": numbers.as_mount(),
        "--page": page.as_mount(),
        "--k": 5,
        "--rate": 0.5,
        "--sizes": [1, 2],
        "--quick": True,
        "--label": "a",
    },
    environment_variables={"LEVEL": 3, "DEBUG": True},
    secret_variables={"TOKEN": pulumi.Output.secret("s3cret-4711")},
))
report = ts.TrainingRun("report", ts.TrainingRunArgs(
    source_directory="reports",
    script="report.py",
    compute=nodes,
    environment=tools,
    arguments={"--of": fit.run_id, "--width": 80, "--columns": [1, 2], "--plain": False, "--format": "text"},
))
model = ts.Model("line", ts.ModelArgs(run=fit, path="outputs/line", description="a line"))
pulumi.export("model", model.version)
pulumi.export("fit", fit.run_id)
"""

FIT = """\
import pathlib, sys

import net

data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
total = sum(float(word) for file in sorted(data.iterdir()) for word in file.read_text().split())
line = pathlib.Path("outputs/line")
line.mkdir(parents=True)
(line / "line.txt").write_text(f"{total} {net.LAYERS} {sys.argv}")
"""

FILES = {
    "__main__.py": PROGRAM,
    "scripts/fit.py": FIT,
    "scripts/net.py": "LAYERS = 2\n",
    "scripts/.gitignore": "notes\n",
    "scripts/notes": "not code\n",
    "scripts/sub/more.py": "MORE = 1\n",
    "reports/report.py": "import sys\nprint(sys.argv)\n",
    "data/a.txt": "1 2 3\n",
    "data/b.txt": "4 5 6\n",
}
