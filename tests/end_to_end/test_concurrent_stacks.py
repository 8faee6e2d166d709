"""Eight `pulumi up`s over four stacks of one workspace, all at once: each distinct run trains once."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trainstack.core.runs.directory import RunDirectory

pytestmark = pytest.mark.end_to_end

STACKS = ("one", "two", "three", "four")
PROGRAM = """
import pulumi
import trainstack as ts

workspace = ts.Workspace("shared")
run = ts.TrainingRun("common", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py",
    compute=ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1)),
    environment=ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"])),
    arguments={"--seed": pulumi.Config().require("seed")},
))
model = ts.Model("common", ts.ModelArgs(run=run, path="outputs/model"))
pulumi.export("path", run.path)
pulumi.export("digest", model.digest)
"""
SCRIPT = """
import pathlib, sys, time
time.sleep(3)
pathlib.Path("outputs/model").write_text(f"trained with {sys.argv[2]}")
"""


@pytest.mark.timeout(600)
def test_eight_ups_over_four_stacks_train_each_run_once(project):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    for number, stack in enumerate(STACKS):
        project.pulumi("stack", "init", stack)
        project.pulumi("config", "set", "trainstack:seed", "ab"[number % 2], "--stack", stack)

    def up(stack: str) -> None:
        """Bring one stack up; Pulumi lets one update a stack run at a time, so the second of two waits its turn."""
        deadline = time.monotonic() + 300
        while True:
            result = project.pulumi("up", "--yes", "--skip-preview", "--stack", stack, expect=None)
            if result.code == 0:
                return
            assert "is currently locked" in result.text, result.text
            assert time.monotonic() < deadline, "the stack stayed locked"
            time.sleep(0.5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(up, STACKS * 2))
    found = [json.loads(project.pulumi("stack", "output", "--json", "--stack", stack).text) for stack in STACKS]
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert found[0]["digest"] != found[1]["digest"]
    for outputs in found[:2]:
        run = RunDirectory(Path(outputs["path"]))
        assert run.read().attempt == 1
        events = [json.loads(line) for line in (run.root / "events.jsonl").read_text().splitlines()]
        assert [event["status"] for event in events if event["kind"] == "stage"].count("running") == 1
        project.pulumi("preview", "--expect-no-changes", "--stack", STACKS[0])
