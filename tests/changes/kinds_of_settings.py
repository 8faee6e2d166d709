"""Changes of arguments, variables, environments, places and what else a program says of a run."""

from __future__ import annotations

from tests.changes.change import MOVED, Change, edits, program
from tests.changes.stack import Stack

BIG = "4611686018427387905"


def value(name: str, old: str, new: str):
    return program(f'"{name}": {old}', f'"{name}": {new}')


ARGUMENTS = [
    Change("a number is changed", value("--k", "5", "6"), fit=("--k 5 → 6",)),
    Change("a fraction is changed", value("--rate", "0.5", "0.25"), fit=("--rate 0.5 → 0.25",)),
    Change("a very small number is given", value("--rate", "0.5", "1e-7"), fit=("--rate 0.5 → 1e-07",)),
    Change("a text is changed", value("--label", '"a"', '"b"'), fit=("--label a → b",)),
    Change("a text with spaces is given", value("--label", '"a"', '"a b"'), fit=("--label a → a b",)),
    Change("a text becomes empty", value("--label", '"a"', '""'), fit=('--label a → ""',)),
    Change("a question mark is given", value("--label", '"a"', '"?"'), fit=("--label a → ?",)),
    Change("a list is changed", value("--sizes", "[1, 2]", "[1, 3]"), fit=("--sizes 1 2 → 1 3",)),
    Change("a list becomes a text", value("--sizes", "[1, 2]", '"1 2"'), fit=('--sizes 1 2 → "1 2"',)),
    Change("a flag is set to false", value("--quick", "True", "False"), fit=("--quick removed",)),
    Change("a flag is set to none", value("--quick", "True", "None"), fit=("--quick removed",)),
    Change("a flag becomes a text", value("--quick", "True", '"True"'), fit=('--quick True → "True"',)),
    Change("an argument is added", value("--k", "5", '5, "--new": 7'), fit=("--new added (7)",)),
    Change("a flag is added", value("--k", "5", '5, "--new": True'), fit=("--new added (True)",)),
    Change("an argument is removed", program('        "--k": 5,\n', ""), fit=("--k removed",)),
    Change("an argument is renamed", program('"--label"', '"--name"'), fit=("--label removed", "--name added (a)")),
    Change("arguments change their order", edits(program('        "--k": 5,\n', ""), program('"--label": "a"', '"--label": "a", "--k": 5'))),
    Change("a number is written as a fraction", value("--k", "5", "5.0")),
    Change("a number is written as text", value("--k", "5", '"5"')),
    Change("an argument that is off is added", value("--k", "5", '5, "--off": False')),
    Change("a large number is given", value("--k", "5", BIG), fit=(f"--k 5 → {BIG}",)),
    Change("arguments become a list", program('"--format": "text"}', '"--format": "text", "--short": True}'), report=("--short added (True)",)),
]  # fmt: skip

VARIABLES = [
    Change("a variable is changed", value("LEVEL", "3", "4"), fit=("variable LEVEL 3 → 4",)),
    Change("a variable is added", value("LEVEL", "3", '3, "MORE": "x"'), fit=("variable MORE added (x)",)),
    Change("a variable is removed", program('"LEVEL": 3, ', ""), fit=("variable LEVEL removed",)),
    Change("a truth value is written as text", value("DEBUG", "True", '"true"')),
    Change("a large number is a variable", value("LEVEL", "3", BIG), fit=(f"variable LEVEL 3 → {BIG}",)),
    Change("a secret's value is changed", program("s3cret-4711", "s3cret-4712")),
    Change("a secret is renamed", program('"TOKEN": pulumi', '"KEY": pulumi'), fit=("secret variable KEY added", "secret variable TOKEN removed")),
    Change("a secret is added", program('"TOKEN": pulumi', '"MORE": "x", "TOKEN": pulumi'), fit=("secret variable MORE added",)),
    Change("a variable of the environment is changed", value("MODE", '"fast"', '"slow"'), fit=("environment variable MODE fast → slow",), report=(MOVED, "environment variable MODE fast → slow"), follows=("Environment tools",)),
]  # fmt: skip

ENVIRONMENTS = [
    Change("a variable moves from the environment to a run", edits(program(', variables={"MODE": "fast"}', ""), value("LEVEL", "3", '3, "MODE": "fast"')), report=("environment variable MODE removed",), follows=("Environment tools", "TrainingRun fit")),
    Change("a package's version is changed", program("six==1.17.0", "six==1.16.0"), fit=("package six 1.17.0 → 1.16.0",), report=(MOVED, "package six 1.17.0 → 1.16.0"), follows=("Environment tools",)),
    Change("a package is added", program('["six==1.17.0"]', '["six==1.17.0", "idna==3.10"]'), fit=("package idna added (3.10)",), report=(MOVED, "package idna added (3.10)"), follows=("Environment tools",)),
    Change("a package is written in another way", program("six==1.17.0", "SIX == 1.17.0"), follows=("Environment tools",)),
    Change("a package is asked for by a range that holds", program("six==1.17.0", "six>=1.17.0,<1.17.1"), follows=("Environment tools",)),
    Change("the environment is renamed", program('Environment("tools"', 'Environment("things"'), follows=("Environment things", "Environment tools")),
]  # fmt: skip

PLACES = [
    Change("the compute gets more nodes", program("max_nodes=2", "max_nodes=1"), follows=("Compute nodes", "TrainingRun fit", "TrainingRun report")),
    Change("the compute gets a priority", program("max_nodes=2", 'max_nodes=2, priority="low"'), follows=("Compute nodes", "TrainingRun fit", "TrainingRun report")),
    Change("the compute keeps nodes", program("max_nodes=2", "max_nodes=2, min_nodes=1"), follows=("Compute nodes", "TrainingRun fit", "TrainingRun report")),
    Change("the compute scales down later", program("max_nodes=2", "max_nodes=2, idle_seconds_before_scaledown=60"), follows=("Compute nodes", "TrainingRun fit", "TrainingRun report")),
    Change("the compute gets a size", program("max_nodes=2", 'max_nodes=1, vm_size="STANDARD_D2_V2"'), follows=("Compute nodes", "TrainingRun fit", "TrainingRun report")),
    Change("the compute is renamed", program('Compute("nodes"', 'Compute("machines"'), follows=("Compute machines", "Compute nodes", "TrainingRun fit", "TrainingRun report")),
]  # fmt: skip


def setting(name: str, line: str) -> Change:
    return Change(name, program('script="fit.py",', f'script="fit.py", {line},'), follows=("TrainingRun fit",))


def another_root(stack: Stack) -> None:
    stack.root = "programs/main/store"
    stack.replace('ts.Workspace("tiny")', 'ts.Workspace("tiny", ts.WorkspaceArgs(root="store"))')


def moved_root(stack: Stack) -> None:
    folder = stack.workspace
    another_root(stack)
    folder.rename(stack.workspace)


ELSEWHERE = "workspace .trainstack/tiny → programs/main/store"
ALL = ("Compute nodes", "Dataset numbers", "Dataset page", "Model line", "Workspace tiny")
WORKSPACES = [
    Change("the workspace gets another root", another_root, fit=("dataset page may change", ELSEWHERE), report=("--of may change", ELSEWHERE), follows=ALL),
    Change("the workspace's folder and its root move", moved_root, adopts=frozenset({"fit", "report"}), follows=ALL, trains=frozenset()),
]  # fmt: skip


SETTINGS = [
    setting("a timeout is given", "timeout=600"),
    setting("the grace period is changed", "grace=3"),
    setting("more attempts are allowed", "max_attempts=3"),
    setting("the backoff is changed", "backoff=9"),
    setting("exit codes are retried", "retry_exit_codes=[75]"),
    setting("a lost connection stops the run", 'on_disconnect="stop"'),
    setting("system metrics are sampled less often", "system_metrics=60"),
    setting("more of the log is kept", "log_limit=500"),
    Change("a default is written out", program('script="fit.py",', 'script="fit.py", grace=10, max_attempts=1, trigger="",')),
    Change("a trigger is given", program('script="fit.py",', 'script="fit.py", trigger="again",'), fit=("trigger none → again",)),
    Change("a limit of the source folder is given", program('script="fit.py",', 'script="fit.py", source_limit_bytes=1000000,')),
    Change("a run is renamed", program('TrainingRun("fit"', 'TrainingRun("adjust"'), adopts=frozenset({"adjust"}), follows=("TrainingRun fit",), trains=frozenset()),
]  # fmt: skip


def undo(stack: Stack) -> None:
    stack.replace('"--k": 5', '"--k": 6')
    stack.project.up()
    stack.replace('"--k": 6', '"--k": 5')


def other_bytes_of_a_model(stack: Stack) -> None:
    stack.project.write("net/weights", "1")
    stack.replace(
        'pulumi.export("model"',
        'net = ts.Model("net", ts.ModelArgs(workspace=workspace, path="net"))\npulumi.export("model"',
    )
    stack.project.up()
    stack.project.unchanged()
    stack.project.write("net/weights", "2")


SEVERAL = [
    Change("other bytes at the path of a model", other_bytes_of_a_model, follows=("Model net",)),
    Change("an argument and a module", edits(value("--k", "5", "6"), lambda stack: stack.replace("2", "3", "scripts/net.py")), fit=("net.py changed", "--k 5 → 6")),
    Change("an argument and a package", edits(value("--k", "5", "6"), program("six==1.17.0", "six==1.16.0")), fit=("--k 5 → 6", "package six 1.17.0 → 1.16.0"), report=(MOVED, "package six 1.17.0 → 1.16.0"), follows=("Environment tools",)),
    Change("arguments of both runs", edits(value("--k", "5", "6"), value("--format", '"text"', '"html"')), fit=("--k 5 → 6",), report=("--format text → html", MOVED)),
    Change("undo of a change", undo, adopts=frozenset({"fit", "report"}), follows=("Model line",), trains=frozenset()),
    Change("the program is formatted anew", lambda stack: (stack.source / "__main__.py").write_text((stack.source / "__main__.py").read_text().replace("\n    ", "\n      ").replace("\n)", "\n\n)"))),
    Change("a new run is declared", program("model = ts.Model", 'more = ts.TrainingRun("more", ts.TrainingRunArgs(source_directory="reports", script="report.py", compute=nodes, environment=tools, arguments={"--new": 1}))\nmodel = ts.Model'), new=("more",)),
    Change("the same run is declared twice", program("model = ts.Model", 'more = ts.TrainingRun("more", ts.TrainingRunArgs(source_directory="reports", script="report.py", compute=nodes, environment=tools, arguments={"--of": fit.run_id, "--width": 80, "--columns": [1, 2], "--format": "text"}))\nmodel = ts.Model'), adopts=frozenset({"more"}), trains=frozenset()),
    Change("a model is described", program('description="a line"', 'description="the line"'), follows=("Model line",)),
    Change("a model gets tags", program('description="a line"', 'description="a line", tags={"a": "b"}'), follows=("Model line",)),
    Change("a model gets an alias", program('description="a line"', 'description="a line", alias={"production": "latest"}'), follows=("Model line",)),
    Change("a second model of the run", program("pulumi.export(\"model\"", 'other = ts.Model("other", ts.ModelArgs(run=fit, path="outputs/line"))\npulumi.export("model"'), follows=("Model other",)),
    Change("the model leaves the program", edits(program('model = ts.Model("line", ts.ModelArgs(run=fit, path="outputs/line", description="a line"))\n', ""), program('pulumi.export("model", model.version)\n', "")), follows=("Model line",)),
]  # fmt: skip
