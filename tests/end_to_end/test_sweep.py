"""A sweep, a model of its best run, its gate and its aliases, through the real engine."""

from pathlib import Path

import pytest
from tests.core.sweeps.conftest import SCRIPT

pytestmark = pytest.mark.end_to_end

PROGRAM = """
import pulumi
import trainstack as ts

workspace = ts.Workspace("tiny")
cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=2))
env = ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"]))
sweep = ts.Sweep("tune", ts.SweepArgs(
    run=ts.TrainingRunArgs(source_directory="scripts", script="train.py", compute=cluster, environment=env),
    space={"--rate": ts.choice(0.1, 0.3), "--steps": ts.integer(1, 2).when("--rate", 0.3)},
    metric="score", sampler="grid"))
model = ts.Model("net", ts.ModelArgs(
    run=sweep, path="outputs", alias={"production": "latest"}, require={"score": ">= 0.9"}))
pulumi.export("best", sweep.best_parameters)
pulumi.export("value", sweep.best_value)
pulumi.export("trials", sweep.trials)
pulumi.export("version", model.version)
pulumi.export("history", workspace.tracking_uri)
"""


@pytest.fixture
def tuned(project):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    return project


def edit(project, old, new):
    path = project.root / "programs" / "main" / "__main__.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_sweep_is_searched_widened_and_its_best_run_gated(tuned):
    tuned.up()
    outputs = tuned.outputs()
    assert outputs["trials"] == {"completed": 3}
    assert outputs["best"] == {"--rate": 0.3, "--steps": 2}
    assert outputs["value"] == pytest.approx(1.002)
    assert outputs["history"].startswith("http://127.0.0.1:")
    tuned.unchanged()
    edit(tuned, "ts.choice(0.1, 0.3)", "ts.choice(0.1, 0.2, 0.3)")
    previewed = tuned.pulumi("preview")
    assert previewed.lines("will search on: space changed; trials that still fit are kept")
    tuned.up()
    assert tuned.outputs()["trials"] == {"completed": 4}
    assert len(list(Path(tuned.root).rglob("run.json"))) == 4
    edit(tuned, '"score": ">= 0.9"', '"score": ">= 1.5"')
    refused = tuned.pulumi("preview", expect=None)
    assert refused.code != 0
    assert refused.lines("model net is held back: run")
    assert refused.lines("score 1.002, which is not >= 1.5")
    edit(tuned, '"score": ">= 1.5"', '"score_vs": "production"')
    edit(tuned, '{"production": "latest"}', '{"production": 1, "candidate": 1}')
    previewed = tuned.pulumi("preview", "--diff")
    assert previewed.lines("candidate")
    tuned.up()
    tuned.unchanged()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('sampler="grid"', 'sampler="best"', "sampler: Input should be 'tpe'"),
        ("ts.choice(0.1, 0.3)", "ts.uniform(0.5, 0.1)", "low not above high"),
        ("ts.choice(0.1, 0.3)", "ts.uniform(0.1, 0.5)", "--rate has no end of values for a grid"),
        ('.when("--rate", 0.3)', '.when("--speed", 0.3)', "--steps depends on --speed, which is not in the space"),
        ('sampler="grid"', 'pruner="median", pruner_options={"patience": 3}', "pruner_options"),
    ],
)
def test_a_wrong_sweep_is_refused_in_preview(tuned, old, new, words):
    edit(tuned, old, new)
    refused = tuned.pulumi("preview", expect=None)
    assert refused.code != 0
    assert words in refused.text
