"""Training runs through the real engine: what preview names, what up does, what a failure says."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.end_to_end.project import Project

from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.index import newest
from trainstack.core.workspace.workspace import Workspace

pytestmark = pytest.mark.end_to_end

PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("tiny")
cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1))
data = ts.Dataset("numbers", ts.DatasetArgs(workspace=workspace, urls=["WEBnumbers.txt"]))
env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"]))
run = ts.TrainingRun("sum", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster, environment=env,
    arguments={"--data": data.as_mount(), "--factor": 2},
    secret_variables={"TOKEN": pulumi.Output.secret("open-sesame-4711")},
))
pulumi.export("run_id", run.run_id)
pulumi.export("path", run.path)
pulumi.export("status", run.status)
"""
SCRIPT = """
import os, pathlib, sys
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1], "numbers.txt")
factor = float(sys.argv[sys.argv.index("--factor") + 1])
assert os.environ["TOKEN"]
total = factor * sum(map(float, data.read_text().split()))
print("total", total)
pathlib.Path("outputs/total").write_text(str(total))
"""


@pytest.fixture
def tiny(project, website):
    folder, address = website
    (folder / "numbers.txt").write_text("1 2 3")
    project.write("__main__.py", PROGRAM.replace("WEB", address))
    project.write("scripts/train.py", SCRIPT)
    project.write("scripts/net.py", "LAYERS = 2\n")
    return project


def change(project: Project, name: str, old: str, new: str) -> None:
    path = project.root / "programs" / "main" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_up_trains_and_a_second_preview_shows_no_change(tiny):
    tiny.up()
    outputs = tiny.outputs()
    assert outputs["status"] == "completed"
    assert Path(outputs["path"], "outputs", "total").read_text() == "12.0"
    tiny.unchanged()


def test_what_does_not_decide_the_result_shows_no_change(tiny):
    tiny.up()
    source = tiny.root / "programs" / "main"
    os.utime(source / "scripts" / "train.py", (1, 1))
    change(
        tiny, "__main__.py", '"--data": data.as_mount(), "--factor": 2', '"--factor": 2.0, "--data": data.as_mount()'
    )
    (source / "scripts" / ".gitignore").write_text("# a comment\nnotes\n")
    (source / "scripts" / "notes").write_text("ignored")
    tiny.unchanged()


def test_another_checkout_path_shows_no_change(tiny, tmp_path):
    tiny.up()
    moved = tmp_path / "elsewhere"
    shutil.copytree(tiny.root, moved, symlinks=True)
    copy = Project(moved)
    copy.pulumi("stack", "select", "test")
    copy.unchanged()


@pytest.mark.parametrize(
    ("file", "old", "new", "named", "reason"),
    [
        ("scripts/net.py", "2", "3", "net.py", "net.py changed"),
        ("__main__.py", '"--factor": 2', '"--factor": 3', "--factor", "--factor 2 → 3"),
        ("__main__.py", "six==1.17.0", "six==1.16.0", "six", "package six 1.17.0 → 1.16.0"),
    ],
)
@pytest.mark.long
def test_preview_names_exactly_what_would_retrain(tiny, file, old, new, named, reason):
    tiny.up()
    change(tiny, file, old, new)
    shown = tiny.preview()
    [sentence] = shown.lines("will retrain: ")
    assert sentence.startswith(f"will retrain: {reason}; last run took ")
    assert shown.lines("(replace)")
    assert named in shown.text[shown.text.index("(replace)") :]
    assert "train.py" not in shown.text.replace("scripts/train.py", "")


def test_changed_remote_data_is_found_by_refresh_and_retrains(tiny, website):
    tiny.up()
    first = tiny.outputs()["run_id"]
    numbers = website[0] / "numbers.txt"
    before = numbers.stat().st_mtime
    numbers.write_text("4 5 6 7")
    # The server tells times in whole seconds.
    os.utime(numbers, (before + 2, before + 2))
    tiny.pulumi("refresh", "--yes", "--skip-preview")
    shown = tiny.preview()
    assert shown.lines("will retrain: dataset numbers may change"), shown.text
    tiny.up()
    outputs = tiny.outputs()
    assert outputs["run_id"] != first
    assert Path(outputs["path"], "outputs", "total").read_text() == "44.0"
    tiny.unchanged()


def test_a_failing_script_shows_its_end_and_keeps_the_run(tiny):
    change(tiny, "scripts/train.py", 'print("total", total)', 'print("almost"); sys.exit(7)')
    result = tiny.up(expect=None)
    assert result.code != 0
    assert "code 7" in result.text
    assert "| almost" in result.text
    assert "logs/run.txt" in result.text
    assert "Traceback" not in result.text
    [record] = newest(Workspace.open(tiny.root / ".trainstack" / "tiny"))
    assert record.status == "failed"
    change(tiny, "scripts/train.py", 'print("almost"); sys.exit(7)', 'print("total", total)')
    tiny.up()
    assert tiny.outputs()["status"] == "completed"


def test_destroy_keeps_the_run_and_the_next_up_adopts_it(tiny):
    tiny.up()
    run = Path(tiny.outputs()["path"])
    written = (run / "outputs" / "total").stat().st_mtime_ns
    tiny.pulumi("destroy", "--yes", "--skip-preview")
    assert run.is_dir()
    assert "nothing trains" in tiny.up().text
    assert (run / "outputs" / "total").stat().st_mtime_ns == written


def test_a_run_directory_that_is_gone_is_found_by_refresh(tiny):
    tiny.up()
    shutil.rmtree(tiny.outputs()["path"])
    tiny.pulumi("refresh", "--yes", "--skip-preview")
    assert tiny.preview().lines("TrainingRun: (create)")


def test_a_secret_is_nowhere_in_state_or_workspace_in_clear(tiny):
    tiny.up()
    # Everything but the program, which says it in clear (and its bytecode).
    kept = (tiny.root / ".trainstack", tiny.root / ".pulumi-state", tiny.root / "stacks")
    files = [path for folder in kept for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"open-sesame-4711" in path.read_bytes()]
    state = json.loads(next(tiny.root.glob(".pulumi-state/.pulumi/stacks/*/test.json")).read_text())
    run = next(it for it in state["checkpoint"]["latest"]["resources"] if it["type"].endswith("trainstack:TrainingRun"))
    assert "ciphertext" in json.dumps(run["inputs"]["secret_variables"])


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("__main__.py", 'script="train.py"', 'script="trian.py"', "script 'trian.py' is not in"),
        ("__main__.py", '"--factor": 2', '"--factor 2": 1', "argument name '--factor 2' holds a space"),
        ("__main__.py", "max_nodes=1", "max_nodes=100000", "max_nodes 100000 is more than"),
        ("__main__.py", "max_nodes=1", 'max_nodes="two"', "max_nodes"),
        ("__main__.py", "six==1.17.0", "six==0.0.0.1", "six==0.0.0.1"),
        ("__main__.py", 'packages=["six==1.17.0"]', 'curated_name="tensorflow-9"', "tensorflow-9"),
        ("__main__.py", 'urls=["http', 'urls=["gopher', "gopher"),
    ],
)
def test_wrong_input_fails_in_preview_with_one_clear_line(tiny, file, old, new, words):
    change(tiny, file, old, new)
    result = tiny.pulumi("preview", expect=None)
    assert result.code != 0
    assert words in result.text
    assert "Traceback" not in result.text


def test_an_unreachable_address_leaves_nothing_half_made(tiny, website):
    (website[0] / "numbers.txt").rename(website[0] / "hidden.txt")
    result = tiny.up(expect=None)
    assert result.code != 0
    assert "numbers.txt" in result.text
    assert "404" in result.text
    assert "Traceback" not in result.text
    (website[0] / "hidden.txt").rename(website[0] / "numbers.txt")
    tiny.up()
    assert RunDirectory(Path(tiny.outputs()["path"])).read().attempt == 1
