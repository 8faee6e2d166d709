"""Harm machines that share a workspace in an object store: no version is given twice, no run or record is lost.

`CHAOS_N` says how many harms (8), `CHAOS_SEED` repeats a sequence.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.chaos.rounds import SCRIPT, expected
from tests.chaos.store_machine import LEASE_SECONDS
from tests.core.sample_runs import request, tiny_environment
from tests.faulty_proxy import Fault

from trainstack.core.environments import environment
from trainstack.core.replication import shared
from trainstack.core.replication.changes import push_changes
from trainstack.core.runs.execution import submission
from trainstack.storage import lease
from trainstack.storage.object_store.store import ObjectStore
from trainstack.targets.base import Runtime

COUNT = int(os.environ.get("CHAOS_N", "8"))
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
MACHINE = Path(__file__).with_name("store_machine.py")
STEPS, PAUSE = 12, 0.08
FAULTS = (
    lambda: Fault(status=500, code="InternalError"),
    lambda: Fault(status=503, code="SlowDown"),
    lambda: Fault(reset="before"),
    lambda: Fault(reset="after"),
    lambda: Fault(reset="body"),
)


class Team:
    """Machines that share a bucket, and what each was told."""

    def __init__(self, address: str, folder: Path, proxy) -> None:
        self.address, self.folder, self.proxy = address, folder, proxy
        self.store = ObjectStore(address)
        self.given: dict[int, str] = {}
        self.twice: list[str] = []
        self.registered = 0

    def start(self, machine: str, *words: str) -> subprocess.Popen[str]:
        cache = {"TRAINSTACK_CACHE": str(self.folder / machine), "AWS_ENDPOINT_URL": self.proxy.url}
        return subprocess.Popen(
            [sys.executable, str(MACHINE), self.address, *words],
            env={**os.environ, **cache},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def registering(self, machine: str) -> tuple[subprocess.Popen[str], Path]:
        self.registered += 1
        file = self.folder / f"content-{self.registered}.txt"
        file.write_text(f"{SEED} {self.registered}")
        return self.start(machine, "register", "numbers", str(file)), file

    def told(self, process: subprocess.Popen[str], file: Path, machine: str) -> None:
        """Take note of a version that a machine was given; it asks again until it is given one."""
        output = errors = ""
        for _ in range(5):
            output, errors = process.communicate(timeout=120)
            if process.returncode == 0:
                break
            process = self.start(machine, "register", "numbers", str(file))
        else:
            pytest.fail(errors)
        version, content = int(output), file.read_text()
        if self.given.setdefault(version, content) != content:
            self.twice.append(f"version {version}: {self.given[version]} and {content}")

    def wipe(self, machine: str) -> None:
        shutil.rmtree(self.folder / machine / "workspaces", ignore_errors=True)


def killed(team: Team, chance: random.Random) -> None:
    process, file = team.registering("ann")
    time.sleep(chance.uniform(0.3, 1.8))
    os.killpg(process.pid, signal.SIGKILL)
    team.told(process, file, "ann")


def two_at_once(team: Team, chance: random.Random) -> None:
    first, second = team.registering("ann"), team.registering("bob")
    team.told(*first, "ann")
    team.told(*second, "bob")


def paused(team: Team, chance: random.Random) -> None:
    first = team.registering("ann")
    time.sleep(chance.uniform(0.3, 1.8))
    os.killpg(first[0].pid, signal.SIGSTOP)
    try:
        team.told(*team.registering("bob"), "bob")
        time.sleep(LEASE_SECONDS)
    finally:
        os.killpg(first[0].pid, signal.SIGCONT)
    team.told(*first, "ann")


def wiped(team: Team, chance: random.Random) -> None:
    process, file = team.registering("ann")
    time.sleep(chance.uniform(0.3, 1.8))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    team.wipe("ann")
    team.told(process, file, "ann")


def bad_network(team: Team, chance: random.Random) -> None:
    share = chance.uniform(0.1, 0.4)
    team.proxy.fault = lambda _: chance.choice(FAULTS)() if chance.random() < share else None
    try:
        team.told(*team.registering("bob"), "bob")
    finally:
        team.proxy.fault = lambda _: None


def driver_killed(team: Team, chance: random.Random) -> None:
    run = submitted(team, chance)
    driver = team.start("ann", "drive", run, str(team.folder / "none.json"))
    time.sleep(chance.uniform(1.0, 4.0))
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    if chance.random() < 0.5:
        team.wipe("ann")
    completed(team, run, chance.choice(("ann", "bob")))


def driver_paused(team: Team, chance: random.Random) -> None:
    run = submitted(team, chance)
    first = team.start("ann", "drive", run, str(team.folder / "none.json"))
    time.sleep(chance.uniform(1.0, 3.0))
    os.killpg(first.pid, signal.SIGSTOP)
    try:
        completed(team, run, "bob")
        before = team.store.get(f"runs/{run}/run.json").data
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    first.communicate(timeout=120)
    # Nothing of what the first one thinks reaches the record that its successor has left.
    assert team.store.get(f"runs/{run}/run.json").data == before


HARMS = (killed, driver_killed, paused, two_at_once, driver_paused, wiped, bad_network)


def submitted(team: Team, chance: random.Random) -> str:
    """Submit a run that a driver is to drive, and give its id."""
    source = team.folder / "source"
    source.mkdir(exist_ok=True)
    (source / "train.py").write_text(SCRIPT)
    packages = tiny_environment()
    seed = f"{chance.randrange(10**9)}"
    asked = request(packages, source, {"--seed": seed, "--steps": STEPS, "--pause": PAUSE})
    asked = asked.model_copy(update={"runtime": Runtime(str(environment.build(*packages).python)), "max_attempts": 1})
    workspace = shared.opened(Path(team.address))
    run_id = asked.spec.run_id
    with shared.updating(workspace, f"runs/{run_id}", lambda _owner: None):
        submission.submit(workspace, asked, source, {}, supervise=False)
        push_changes(workspace, team.store, [f"runs/{run_id}"], going_on=True)
    (team.folder / "none.json").write_text("{}")
    (team.folder / f"{run_id}.seed").write_text(seed)
    return run_id


def completed(team: Team, run: str, machine: str) -> None:
    """Drive a run to its end, and look at what it came to."""
    errors = ""
    for _ in range(5):
        driver = team.start(machine, "drive", run, str(team.folder / "none.json"))
        _, errors = driver.communicate(timeout=120)
        if driver.returncode == 0:
            break
    else:
        pytest.fail(errors)
    record = json.loads(team.store.get(f"runs/{run}/run.json").data)
    assert record["status"] == "completed", record
    seed = (team.folder / f"{run}.seed").read_text()
    assert team.store.get(f"runs/{run}/outputs/model").data.decode() == expected(seed, STEPS)


@pytest.mark.timeout(120 + 60 * COUNT)
def test_machines_that_share_a_store_lose_nothing_whatever_happens_to_them(
    bucket_address, tmp_path, proxy, monkeypatch, capsys
):
    monkeypatch.setitem(lease.acquire.__kwdefaults__, "seconds", LEASE_SECONDS)
    chance = random.Random(SEED)
    shared.created(Path(bucket_address), "team")
    team = Team(bucket_address, tmp_path / "team", proxy)
    team.folder.mkdir()
    played: Counter[str] = Counter()
    for number in range(COUNT):
        harm = HARMS[number % len(HARMS)]
        harm(team, chance)
        played[harm.__name__] += 1
    with capsys.disabled():
        print(f"\n{COUNT} harms: {dict(played)}, {len(team.given)} versions; CHAOS_SEED={SEED}")
    assert not team.twice
    assert len(team.given) == team.registered
    kept = {}
    for item in team.store.list("datasets/numbers"):
        if item.key.endswith(".json"):
            record = json.loads(team.store.get(item.key).data)
            kept[record["version"]] = record["files"][0]["sha256"]
    assert kept == {version: hashlib.sha256(content.encode()).hexdigest() for version, content in team.given.items()}
