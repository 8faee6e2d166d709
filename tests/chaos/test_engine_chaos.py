"""Kill the real engine and the real provider at random moments of `pulumi up`: the next `up` has the same result."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.chaos.rounds import PAUSE, SCRIPT, STEPS, expected
from tests.end_to_end.project import new_project

from trainstack.core.runs.directory import RunDirectory
from trainstack.targets.local.orphans import processes

pytestmark = pytest.mark.end_to_end

# One harm in ten of `CHAOS_N`, at least one of each kind: an `up` takes seconds.
COUNT = max(2, int(os.environ.get("CHAOS_N", "12")) // 10)
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
PROGRAM = f"""
import pulumi
import trainstack as ts

seed = pulumi.Config().require("seed")
workspace = ts.Workspace("tiny")
run = ts.TrainingRun("chaos", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py",
    compute=ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1)),
    environment=ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"])),
    arguments={{"--seed": seed, "--steps": {STEPS}, "--pause": {PAUSE}}},
))
pulumi.export("path", run.path)
"""


def below(root: int) -> dict[int, str]:
    """Processes that descend from one, and their command lines."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(stat.read_bytes().rpartition(b")")[2].split()[1]), []).append(int(stat.parent.name))
    found: dict[int, str] = {}
    ahead = [root]
    while ahead:
        for pid in children.get(ahead.pop(), []):
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            ahead.append(pid)
    return found


def alive(pid: int, command: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() == command
    return False


@pytest.mark.long
@pytest.mark.timeout(60 + 60 * COUNT)
def test_a_killed_engine_or_provider_loses_nothing(tmp_path, capsys):
    project = new_project(tmp_path / "project")
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    chance = random.Random(SEED)
    kills, lost, orphans, hosts = [], [], [], 0
    for number in range(COUNT):
        kind = ("engine", "provider")[number % 2]
        seed = f"engine-{number}"
        project.pulumi("config", "set", "trainstack:seed", seed)
        up = project.start_up(tmp_path / f"up-{number}.txt")
        before: dict[int, str] = {}
        wanted = [up.pid] if kind == "engine" else []
        deadline = time.monotonic() + chance.uniform(1.5, 5)
        while up.poll() is None and (time.monotonic() < deadline or not wanted):
            before |= below(up.pid)
            wanted = wanted or [pid for pid, command in before.items() if "-m pulumi.dynamic" in command]
            time.sleep(0.05)
        hit = up.poll() is None
        for pid in wanted if hit else []:
            os.kill(pid, signal.SIGKILL)
        kills += [kind] if hit else []
        up.wait(60)
        if hit and kind == "engine":
            project.pulumi("cancel", "--yes", expect=None)
        again = project.up(expect=None)
        if again.code != 0:
            lost.append(again.text)
            continue
        run = RunDirectory(Path(project.outputs()["path"]))
        if (run.outputs / "model").read_text() != expected(seed):
            lost.append(f"{kind}: another result in {run.root}")
        deadline = time.monotonic() + 20
        ours = {pid: text for pid, text in before.items() if "pulumi-language" not in text}
        while time.monotonic() < deadline and (
            processes(run.root) or any(alive(pid, text) for pid, text in ours.items())
        ):
            time.sleep(0.1)
        orphans += [*processes(run.root), *(text for pid, text in ours.items() if alive(pid, text))]
        # Pulumi's own language host does not notice that its engine was killed.
        for pid, text in before.items():
            if "pulumi-language" in text and alive(pid, text):
                hosts += 1
                os.kill(pid, signal.SIGKILL)
    with capsys.disabled():
        counted = ", ".join(f"{kind} {kills.count(kind)}" for kind in ("engine", "provider"))
        print(
            f"\nchaos: {len(kills)} kills ({counted}), {len(lost)} lost runs, {len(orphans)} orphans of ours, ", end=""
        )
        print(f"{hosts} of Pulumi's own language hosts left; CHAOS_SEED={SEED}")
    assert not lost, lost[0]
    assert not orphans
