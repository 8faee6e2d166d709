"""One round of chaos: start a run, harm it at a random moment, submit it again, and look at what came of it."""

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.core.sample_runs import request

from trainstack.agent.reporting.report import NodeReport, read_report
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.local.orphans import processes

HERE = Path(__file__).parent
STEPS, PAUSE = 12, 0.08
# Two workers on two nodes; without TensorFlow in the script it is the group alone that is tried.
GROUP = {"kind": "tensorflow", "workers": 2, "node_count": 2}
# The result depends on every step, once each: a step lost or done twice changes it. In a group, rank 0 keeps it.
SCRIPT = """
import hashlib, json, os, pathlib, sys, time
first = os.environ["TRAINSTACK_RANK"] == "0"
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
path = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "state")
step, digest = json.loads(path.read_text()) if path.exists() else (0, arguments["--seed"])
print("starting at", step, flush=True)
while step < int(arguments["--steps"]):
    time.sleep(float(arguments["--pause"]))
    step, digest = step + 1, hashlib.sha256(f"{digest} {step}".encode()).hexdigest()
    if not first:
        continue
    aside = path.with_name("aside")
    aside.write_text(json.dumps([step, digest]))
    aside.replace(path)
    print("step", step, flush=True)
if not first:
    sys.exit()
model = pathlib.Path("outputs/model")
model.with_name("aside").write_text(digest)
model.with_name("aside").replace(model)
"""


def expected(seed: str, steps: int = STEPS) -> str:
    """What the script must come to, however often it was interrupted."""
    import hashlib

    digest = seed
    for step in range(steps):
        digest = hashlib.sha256(f"{digest} {step}".encode()).hexdigest()
    return digest


@dataclass
class Tally:
    """What all rounds came to."""

    kills: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    repeated: dict[str, int] = field(default_factory=dict)
    recovery: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kills.items()))
        again = f"; steps of {STEPS} done again after a harm: at most {max(self.repeated.values(), default=0)}"
        back = ""
        if self.recovery:
            usual, longest = statistics.median(self.recovery), max(self.recovery)
            back = f"; from submission to training again {usual:.1f} s (median), at most {longest:.1f} s"
        return (
            f"chaos: {self.kills.total()} harms ({kinds}), {self.missed.total()} came too late, "
            f"{len(self.lost)} lost runs, {len(self.orphans)} orphans{again}{back}"
        )


class Round:
    """A run of its own in a workspace, and those who follow it."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        packages,
        number: int,
        attempts: int,
        *,
        group: bool = False,
        compute=None,
    ) -> None:
        folder.mkdir(parents=True)
        self.workspace = workspace
        self.source = folder / "source"
        self.source.mkdir()
        (self.source / "train.py").write_text(f"# {number}\n{SCRIPT}")
        self.seed = f"round-{number}"
        self.request: RunRequest = request(
            packages,
            self.source,
            {"--seed": self.seed, "--steps": STEPS, "--pause": PAUSE},
            compute=compute,
            parts={"distribution": GROUP} if group else {},
            max_attempts=attempts,
            backoff=0.1,
            grace=1.0,
        )
        self.folder = folder
        self.nodes = 2 if group else 1
        self.run = RunDirectory(workspace.run(self.request.spec.run_id))
        (folder / "request.json").write_text(json.dumps(self.request.model_dump(mode="json")))

    def submit(self, name: str, **variables: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(HERE / "submitter.py"), str(self.workspace.root), str(self.source)]
        with (self.folder / f"{name}.txt").open("wb") as log:
            return subprocess.Popen(
                [*command, str(self.folder / "request.json")],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | variables,
                start_new_session=True,
            )

    def supervisor(self) -> list[int]:
        with contextlib.suppress(Exception):
            pid = self.run.read().supervisor
            return [pid] if pid and self.run.has_supervisor() else []
        return []

    def agent(self) -> list[int]:
        return self._one_of([report.agent_pid for report in self._reports()])

    def rank(self) -> list[int]:
        return self._one_of([rank.pid for report in self._reports() for rank in report.ranks])

    def _reports(self) -> list[NodeReport]:
        found = []
        for node in range(self.nodes):
            with contextlib.suppress(Exception):
                found.append(read_report(self.run.reports, node))
        return [report for report in found if report is not None]

    def _one_of(self, pids: list[int]) -> list[int]:
        there = processes(self.run.root)
        alive = [pid for pid in pids if pid in there]
        return [random.choice(alive)] if alive else []


def kill(find: Callable[[Round], list[int]]) -> Callable[[Round], bool]:
    """SIGKILL to what is found; gives whether there was anything."""

    def harm(chaos: Round) -> bool:
        hit = False
        for pid in find(chaos):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                hit = True
        return hit

    return harm


def truncate_record(chaos: Round) -> bool:
    """Kill the supervisor, and leave half a `run.json`."""
    if not kill(Round.supervisor)(chaos):
        return False
    path = chaos.run.root / "run.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: random.randrange(len(whole))])
    return True


def harm_blob(chaos: Round) -> bool:
    """Kill the supervisor, and damage the stored copy of the script."""
    if not kill(Round.supervisor)(chaos):
        return False
    path = chaos.workspace.blobs.path(chaos.request.spec.files["train.py"])
    path.chmod(0o644)
    path.write_bytes(b"not what it was")
    return True


HARMS: dict[str, Callable[[Round], bool]] = {
    "supervisor": kill(Round.supervisor),
    "agent": kill(Round.agent),
    "rank": kill(Round.rank),
    "run.json": truncate_record,
    "blob": harm_blob,
}


def play(
    chaos: Round,
    kind: str,
    tally: Tally,
    chance: random.Random,
    harms: dict[str, Callable[[Round], bool]] | None = None,
) -> None:
    """Harm the run once and submit it again.

    Args:
        chaos: The round.
        kind: What to harm: one of `HARMS`, `provider`, `disk` or `clock`.
        tally: Where to count.
        chance: What decides on the moment.
        harms: Other harms than `HARMS`.
    """
    harms = harms or HARMS
    jumping = {"PYTHONPATH": f"{HERE / 'jumping_clock'}:{os.environ.get('PYTHONPATH', '')}"} if kind == "clock" else {}
    first = chaos.submit("first", **jumping)
    _until(lambda: (chaos.run.root / "run.json").exists() or first.poll() is not None)
    time.sleep(chance.uniform(0, STEPS * PAUSE + 0.6))
    filler = chaos.workspace.root / "filler"
    hit = False
    if kind == "provider":
        if hit := first.poll() is None:
            first.kill()
    elif kind == "disk":
        if hit := first.poll() is None:
            _fill(filler)
    elif kind == "clock":
        hit = True
    else:
        # What is to be harmed may come into being only later, or be gone already.
        while first.poll() is None and not (hit := harms[kind](chaos)):
            time.sleep(0.01)
    (tally.kills if hit else tally.missed)[f"{kind} of a group" if chaos.nodes > 1 else kind] += 1
    if kind != "provider":
        _ended(first)
    filler.unlink(missing_ok=True)
    before = _steps(chaos)
    began = time.monotonic()
    again = chaos.submit("again", **jumping)
    log = chaos.run.merged_log
    while again.poll() is None and _steps(chaos)[1] == before[1] and time.monotonic() < began + 60:
        time.sleep(0.02)
    if _steps(chaos)[1] > before[1]:
        tally.recovery.append(time.monotonic() - began)
    code = _ended(again)
    model = chaos.run.outputs / "model"
    if code != 0 or not model.is_file() or model.read_text() != expected(chaos.seed):
        first_said, again_said = ((chaos.folder / f"{name}.txt").read_text()[-800:] for name in ("first", "again"))
        tally.lost.append(f"{kind}: {code}\n{first_said}\n--- again:\n{again_said}\n--- log:\n{_end(log)}")
    tally.repeated[kind] = max(tally.repeated.get(kind, 0), _steps(chaos)[0] - STEPS)
    with contextlib.suppress(TimeoutError):
        _until(lambda: not chaos.run.has_supervisor() and not processes(chaos.run.root), 10)
    tally.orphans += [f"{kind}: {pid}" for pid in processes(chaos.run.root)]


def _steps(chaos: Round) -> tuple[int, int]:
    """How many steps and how many starts were printed, over all attempts."""
    with contextlib.suppress(OSError):
        lines = chaos.run.merged_log.read_text().splitlines()
        return sum(line.startswith("step ") for line in lines), sum(line.startswith("starting") for line in lines)
    return 0, 0


def _end(log: Path) -> str:
    return log.read_text()[-500:] if log.is_file() else "none"


def _fill(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
