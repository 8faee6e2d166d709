"""The policy pack under the real engine: what is costly is blocked before it trains, as its configuration says."""

import json

import pytest
from tests.end_to_end.project import REPOSITORY

from trainstack.core.runs.index import newest
from trainstack.core.workspace.workspace import Workspace

pytestmark = pytest.mark.end_to_end

PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("tiny")
cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1))
env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"]))
run = ts.TrainingRun("fit", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster, environment=env, timeout=7200,
    arguments={"--level": config.get("level") or "0.5"},
))
model = ts.Model("net", ts.ModelArgs(run=run, path="outputs/model"))
"""
# What MLflow's file store looks like, without MLflow: one metric.
SCRIPT = """
import os, pathlib, sys
level = sys.argv[sys.argv.index("--level") + 1]
store = pathlib.Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("file://"), "0", "run", "metrics")
store.mkdir(parents=True)
(store / "accuracy").write_text(f"1700000000000 {level} 0\\n")
pathlib.Path("outputs/model").mkdir(parents=True)
pathlib.Path("outputs/model/weights").write_text(level)
"""


@pytest.fixture
def guarded(project):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)

    def run(command, expect=0, **config):
        (project.root / "policies.json").write_text(json.dumps(config))
        pack = ("--policy-pack", str(REPOSITORY / "policy"), "--policy-pack-config", "policies.json")
        return project.pulumi(command, *pack, *(["--yes", "--skip-preview"] if command == "up" else []), expect=expect)

    run.project = project  # pyright: ignore[reportFunctionMemberAccess]
    return run


def test_a_costly_program_is_blocked_as_the_configuration_says(guarded):
    guarded.project.pulumi("config", "set", "--path", "trainstack:prices.local", "6")
    over = "training it would cost about 12.00 USD, over the budget of 5 an update"
    blocked = guarded("preview", expect=None, budget={"enforcementLevel": "mandatory", "maximum": 5})
    assert blocked.code != 0
    assert over in blocked.text
    assert "Traceback" not in blocked.text

    warned = guarded("preview", budget={"enforcementLevel": "advisory", "maximum": 5})
    assert over in warned.text
    assert over not in guarded("preview", budget="disabled").text
    assert over not in guarded("preview", budget={"enforcementLevel": "mandatory", "maximum": 15}).text

    # Without a preview before it, the update is blocked too, and nothing has trained.
    blocked = guarded("up", expect=None, budget={"enforcementLevel": "mandatory", "maximum": 5})
    assert blocked.code != 0
    root = guarded.project.root / ".trainstack" / "tiny"
    assert not root.exists() or newest(Workspace.open(root)) == []


def test_only_a_model_over_the_gate_is_registered(guarded):
    gate = {"gate-metric": {"enforcementLevel": "mandatory", "metric": "accuracy", "minimum": 0.9}}
    blocked = guarded("up", expect=None, **gate)
    assert blocked.code != 0
    assert "net: accuracy is 0.5, under the gate of 0.9" in blocked.text
    models = guarded.project.root / ".trainstack" / "tiny" / "models"
    assert not models.exists()
    guarded.project.pulumi("config", "set", "level", "0.95")
    guarded("up", **gate)
    assert [path.name for path in models.iterdir()] == ["net"]


def test_settings_that_are_none_are_refused_by_name(guarded):
    refused = guarded("preview", expect=None, budget={"enforcementLevel": "mandatory", "maximum": "much"})
    assert refused.code != 0
    assert "maximum" in refused.text
