"""A whole pull request on a folder backend: commit, plan comment, merge, promote, revert."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from trainstack.core.models import aliases
from trainstack.core.models.model import list_models
from trainstack.core.runs.index import newest
from trainstack.core.workspace.workspace import Workspace

pytestmark = [pytest.mark.end_to_end, pytest.mark.tensorflow]

PROGRAM = """
import pulumi
import trainstack as ts

if pulumi.get_stack() == "prod":
    workspace = ts.Workspace("shop")
    dev = pulumi.StackReference("organization/trainstack/dev")
    model = ts.Model.promote("net", workspace, dev.require_output("model"), alias={"production": "latest"})
    service = ts.WebService("web", ts.WebServiceArgs(model=model, labels={"production": "latest"}))
    pulumi.export("scoring_uri", service.scoring_uri)
else:
    workspace = ts.Workspace("lab")
    cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1))
    graph = ts.Dataset("graph", ts.DatasetArgs(workspace=workspace, paths=["graph"]))
    env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"]))
    run = ts.TrainingRun("fit", ts.TrainingRunArgs(
        source_directory="scripts", script="train.py", compute=cluster, environment=env,
        arguments={"--graph": graph.as_mount(), "--level": 0.9},
    ))
    model = ts.Model("net", ts.ModelArgs(run=run, path="outputs/model", framework_version="2.15"))
    pulumi.export("run", run.run_id)
pulumi.export("model", model.summary)
"""
# Trains nothing, and quickly: a network that was saved before, with a note of how good it is said to be.
SCRIPT = """
import os, pathlib, shutil, sys
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
saved = next(pathlib.Path(arguments["--graph"]).rglob("saved_model.pb")).parent
shutil.copytree(saved, "outputs/model")
note = pathlib.Path("outputs/model/assets.extra/level")
note.parent.mkdir(exist_ok=True)
note.write_text(arguments["--level"])
store = pathlib.Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("file://"), "0", "run", "metrics")
store.mkdir(parents=True)
(store / "accuracy").write_text(f"1700000000000 {arguments['--level']} 0\\n")
"""


class Repository:
    """The project as a git repository, with what continuous integration does in it."""

    def __init__(self, project):
        self.project, self.root = project, project.root

    def git(self, *arguments):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.invalid"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self, message):
        self.git("add", "programs", "stacks", "Pulumi.yaml")
        self.git("commit", "--message", message)

    def trainstack(self, *arguments):
        done = subprocess.run(
            [sys.executable, "-m", "trainstack.cli", *arguments],
            cwd=self.root, env=self.project.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def plan(self, stack):
        preview = self.project.pulumi("preview", "--json", "--stack", stack)
        (self.root / "preview.json").write_text(preview.text)
        return self.trainstack("plan", "--markdown", "preview.json")

    def deploy(self, stack):
        """The update, and the comment about its metrics."""
        for moment in ("before", "after"):
            if moment == "after":
                self.project.pulumi("up", "--yes", "--skip-preview", "--stack", stack)
            self.project.pulumi("stack", "export", "--stack", stack, "--file", f"{moment}.json")
        return self.trainstack("compare", "--markdown", "before.json", "after.json")

    def outputs(self, stack):
        text = self.project.pulumi("stack", "output", "--json", "--stack", stack).text
        return json.loads(text[text.index("{") :])

    def served(self):
        """Version and bytes behind the service's label `production`."""
        address = self.outputs("prod")["scoring_uri"].replace(":predict", "/labels/production")
        response = httpx.get(address, timeout=30)
        assert response.status_code == 200, response.text
        return int(response.json()["model_version_status"][0]["version"])

    @property
    def trained(self):
        return [record.id for record in newest(Workspace.open(self.root / ".trainstack" / "lab"))]


@pytest.fixture
def repository(project, dense):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    (project.root / "programs/main/graph").symlink_to(dense)
    for stack in ("dev", "prod"):
        project.pulumi("stack", "init", stack)
    repo = Repository(project)
    repo.git("init", "--initial-branch", "main")
    repo.commit("A network")
    yield repo
    project.pulumi("destroy", "--yes", "--skip-preview", "--stack", "prod", expect=None)
    project.pulumi("stack", "select", "test")


@pytest.mark.long
def test_commit_plan_merge_promote_revert(repository):
    repository.deploy("dev")
    repository.deploy("prod")
    first = repository.outputs("dev")
    assert repository.served() == 1
    assert len(repository.trained) == 1

    # The pull request: a commit on a branch, and the comment that says what merging it would do.
    repository.git("switch", "--create", "better")
    program: Path = repository.root / "programs/main/__main__.py"
    program.write_text(program.read_text().replace('"--level": 0.9}', '"--level": 0.95}'))
    repository.commit("A better level")
    comment = repository.plan("dev")
    assert "1 run trains" in comment
    assert "| `fit` | retrains | `--level 0.9 → 0.95` |" in comment
    assert "model `net` gets a new version after version 1 from run fit" in comment
    assert len(repository.trained) == 1, "a plan trains nothing"

    # The merge: dev trains once, and says what became of the metrics.
    repository.git("switch", "main")
    repository.git("merge", "better")
    assert "| `accuracy` | 0.9 | 0.95 | +0.05 |" in repository.deploy("dev")
    second = repository.outputs("dev")
    assert second["run"] != first["run"]
    assert len(repository.trained) == 2

    # Promotion: the same bytes, no training, the service and its label move.
    comment = repository.plan("prod")
    assert "nothing trains" in comment
    assert "net version 2 of another stack" in comment.replace("\\", "")
    assert "production follows it" in comment
    assert "switches from version 1 of net to the new version" in comment
    assert "**`net`**: version 1 → 2, served by `web`" in repository.deploy("prod")
    shop = Workspace.open(repository.root / ".trainstack/shop")
    assert repository.outputs("prod")["model"]["digest"] == second["model"]["digest"]
    assert [record.digest for record in list_models(shop)] == [first["model"]["digest"], second["model"]["digest"]]
    assert not shop.runs.exists()
    assert repository.served() == 2
    assert aliases.read(shop, "net") == {"production": 2}
    repository.project.pulumi("preview", "--expect-no-changes", "--stack", "prod")

    # The revert: nothing trains anywhere, and what served before serves again.
    repository.git("revert", "--no-edit", "HEAD")
    comment = repository.plan("dev")
    assert f"adopts a finished run (`{first['run']}`): nothing trains" in comment
    repository.deploy("dev")
    repository.deploy("prod")
    assert repository.outputs("dev")["run"] == first["run"]
    assert len(repository.trained) == 2
    assert repository.outputs("prod")["model"]["digest"] == first["model"]["digest"]
    assert repository.served() == 1
    assert aliases.read(shop, "net") == {"production": 1}
    assert len(list_models(shop)) == 2
