"""The same commit elsewhere: other folder, home, user name, locale, time zone and caches, and the same fingerprints."""

import io
import json
import os
import shutil
import subprocess
import sys
import uuid

import pytest
from tests.core.docker_runs import engine, needs_engine
from tests.end_to_end.project import Project

from trainstack.core.environments.pins import read_pins, write_pins

pytestmark = pytest.mark.end_to_end

PROGRAM = """
import pulumi
import trainstack as ts

workspace = ts.Workspace("tiny")
cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1))
data = ts.Dataset("numbers", ts.DatasetArgs(workspace=workspace, paths=["zahlen/*.txt"]))
env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six"]))
run = ts.TrainingRun("sum", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster, environment=env,
    arguments={"--rate": 0.1, "--data": data.as_mount(), "--name": "Größe"},
))
pulumi.export("seen", pulumi.Output.all(run.fingerprint, env.digest, data.digest))
"""
SCRIPT = """
import pathlib
pathlib.Path("outputs/done").write_text("1")
"""


def trainstack(project, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "trainstack.cli", *arguments],
        cwd=project.root, env=project.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def here(project):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    project.write("scripts/Übung.py", "B = 1\n")
    project.write("scripts/a.py", "A = 1\n")
    for name in ("b.txt", "Ä.txt", "a.txt"):
        project.write(f"zahlen/{name}", name)
    return project


def elsewhere(here, folder):
    """Another machine, as far as one process can be: a fresh checkout and nothing of the first one's surroundings."""
    root = folder / "srv" / "builds 7"
    root.parent.mkdir(parents=True)
    kept = shutil.ignore_patterns(".pulumi-state", ".trainstack", "__pycache__")
    shutil.copytree(here.root, root, ignore=kept)
    (root / ".pulumi-state").mkdir()
    home = folder / "home"
    home.mkdir()
    variables = {
        "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TRAINSTACK_CACHE": str(home / "trainstack"),
        "LOGNAME": "grace", "USER": "grace", "LC_ALL": "C", "LANG": "C", "TZ": "Pacific/Auckland",
        "PYTHONHASHSEED": "7", "COLUMNS": "40",
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", os.path.expanduser("~/.cache/uv")),  # noqa: PTH111
    }  # fmt: skip
    project = Project(root, variables)
    project.pulumi("stack", "init", "test")
    return project


@pytest.mark.long
def test_the_same_commit_gives_the_same_fingerprints_elsewhere(here, tmp_path):
    here.up()
    assert trainstack(here, "lock").returncode == 0
    file = here.root / "stacks" / "test.lock.json"
    # The index has moved on since: what was locked then is older than what would be resolved now.
    from trainstack.core.environments.environment import EnvironmentSpec, lock

    older = lock(EnvironmentSpec.from_packages("older", ["six==1.16.0"]))
    pins = read_pins(file)
    [(name, pin)] = pins.environments.items()
    then = pin.model_copy(update={"digest": older.digest, "packages": older.packages, "lock": older.text})
    write_pins(file, pins.model_copy(update={"environments": {name: then}}))
    here.up()
    seen = here.outputs()["seen"]
    assert seen[1] == older.digest
    here.unchanged()

    there = elsewhere(here, tmp_path)
    checked = trainstack(there, "lock", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    there.up()
    assert there.outputs()["seen"] == seen
    # Written there it is the same file, byte for byte.
    committed = file.read_bytes()
    assert trainstack(there, "lock").returncode == 0
    assert (there.root / "stacks" / "test.lock.json").read_bytes() == committed
    there.pulumi("destroy", "--yes", "--skip-preview")


def test_a_moved_pin_is_refused_and_named(here):
    missing = trainstack(here, "lock", "--check")
    assert missing.returncode == 1
    assert "run `trainstack lock` and commit it" in missing.stderr
    assert trainstack(here, "lock").returncode == 0
    here.write("zahlen/a.txt", "other")
    program = here.root / "programs/main/__main__.py"
    program.write_text(program.read_text().replace('["six"]', '["six==1.16.0"]'))
    file = here.root / "stacks" / "test.lock.json"
    document = json.loads(file.read_text())
    document["versions"]["pulumi"] = "3.0.0"
    file.write_text(json.dumps(document))
    refused = trainstack(here, "lock", "--check")
    assert refused.returncode == 1
    assert "environment tiny moved: six moved: 1.17.0 → 1.16.0" in refused.stdout
    assert "dataset numbers moved: " in refused.stdout
    assert "pulumi moved: 3.0.0 → " in refused.stdout
    assert "3 not as " in refused.stderr


ON_AN_ENGINE = """
import trainstack as ts

workspace = ts.Workspace("tiny")
cluster = ts.Compute("engine", ts.ComputeArgs(workspace=workspace, target="docker", max_nodes=1))
moving = ts.Environment("moving", ts.EnvironmentArgs(packages=["six==1.17.0"], base_image="MOVING"))
run = ts.TrainingRun("sum", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster, environment=moving))
own = ts.Environment("own", ts.EnvironmentArgs(context="image", compute=cluster))
"""


@needs_engine
def test_a_base_image_whose_tag_moved_is_refused_by_name(here):
    base = os.environ["TRAINSTACK_BASE_IMAGE"]
    moving = f"{base.rpartition('/')[0] or 'localhost'}/trainstack-test-moving-{uuid.uuid4().hex}:1"
    here.write("__main__.py", ON_AN_ENGINE.replace("MOVING", moving))
    here.write("image/Dockerfile", f"FROM {base} AS made\nFROM made\n")
    images = engine().images
    name, _, tag = moving.rpartition(":")
    try:
        images.get(base).tag(name, tag)
        assert trainstack(here, "lock").returncode == 0
        pinned = read_pins(here.root / "stacks" / "test.lock.json").base_images
        assert pinned.keys() == {base, moving}
        assert all(digest.startswith("sha256:") for digest in pinned.values())
        assert trainstack(here, "lock", "--check").returncode == 0
        images.build(fileobj=io.BytesIO(f"FROM {base}\nENV MOVED=1\n".encode()), tag=moving)
        refused = trainstack(here, "lock", "--check")
        assert refused.returncode == 1
        assert f"base image {moving} moved: sha256:" in refused.stdout
        assert "1 not as " in refused.stderr
    finally:
        images.remove(moving, force=True)
