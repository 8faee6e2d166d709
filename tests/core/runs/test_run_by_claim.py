"""Runs on a real cluster whose code lies on a volume claim, and whose lost pods have left there what nobody fetched."""

import contextlib
import hashlib
import json
import os
import random
import signal
from pathlib import Path

import pytest
from tests.core.cluster_volumes import asked_for, claimed, emptied
from tests.core.kubernetes_runs import CLUSTER, access, delete_pod, jobs, left, needs_cluster, pods, registry
from tests.waiting import until

from trainstack.core.compute import compute, target_checks
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.maintenance import orphans
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.errors import InvalidInputError, RunFailedError
from trainstack.targets.transfer.output_receiver import OutputReceiver

NAME = "trainstack-tests-store"
SECONDS = 300.0
pytestmark = [needs_cluster, pytest.mark.timeout(900)]


LONG = {"--steps": 3000, "--pause": 0.1}


def by_claim(name=NAME, **changes):
    given = {"name": "cluster", "target": "kubernetes", "vm_size": "STANDARD_D1_V2", "max_nodes": 2}
    return ComputeSpec(**{**given, "config": CLUSTER.model_copy(update={"store": name}), **changes})


@pytest.fixture(scope="module")
def volume():
    with claimed(NAME) as folder:
        yield folder


@pytest.fixture
def writable(volume):
    """As a storage driver leaves it that honours fsGroup."""
    return emptied(volume, 10001, 0o2775)


@pytest.fixture
def started(workspace, source, request_for):
    runs = []

    def submit(arguments=None, *, compute=None, **given):
        request = request_for(arguments, compute=compute or by_claim(), **given)
        found = submission.submit(workspace, request.model_copy(update={"registry": registry()}), source, {}).directory
        runs.append(found)
        return found

    yield submit
    for run in [run for run in runs if run.root.is_dir()]:
        with contextlib.suppress(Exception):
            submission.stop(run, "the test is over")
        until(lambda run=run: not run.has_supervisor(), SECONDS)


def streamed(run, nodes):
    """Bytes that went to the claim for a run, once all its nodes work."""

    def ready():
        return run.merged_log.is_file() and run.merged_log.read_text().count("ready") == nodes

    until(lambda: ready() or run.read().status.ended, SECONDS)
    assert ready(), run.read().reason
    return json.loads((run.root / "claim.json").read_text())["streamed_bytes"]


def ended(run, volume):
    """End it; whether nothing of it is left but content, neither on the cluster nor on the claim."""
    submission.stop(run, "seen enough")
    until(lambda: not run.has_supervisor(), SECONDS)
    assert run.read().status is Status.CANCELED
    assert not (run.root / "claim.json").exists()
    return not left(run) and not list((volume / "runs").glob("*/*"))


def content(volume):
    return {it.name: it.stat().st_ino for it in (volume / "content" / "sha256").iterdir()}


SEES = """
import hashlib, os, pathlib, socket, time
data = pathlib.Path("table.bin")
digest = hashlib.sha256(data.read_bytes()).hexdigest()
seen = f"{digest} {os.access(data, os.W_OK)} {os.path.exists('/trainstack/store')}"
pathlib.Path("outputs", f"seen-{socket.gethostname()[-1]}").write_text(seen)
print("ready", flush=True)
time.sleep(600)
"""


def test_inputs_go_onto_a_claim_once_for_all_pods_and_runs(started, source, writable):
    (source / "train.py").write_text(SEES)
    table = random.Random(1).randbytes(1 << 20)
    (source / "table.bin").write_bytes(table)
    # Scripts have a copy of the code, which is theirs, and nothing of the claim.
    seen = f"{hashlib.sha256(table).hexdigest()} True False"
    two = {"kind": "tensorflow", "node_count": 2, "workers": 2}
    run = started({"--n": 1}, distribution=two)
    # Two pods read it, and it was sent once.
    assert len(table) < streamed(run, 2) < 2 * len(table)
    until(lambda: (run.outputs / "seen-1").exists() and (run.outputs / "seen-0").exists(), SECONDS)
    assert ended(run, writable)
    assert {(run.outputs / f"seen-{index}").read_text() for index in (0, 1)} == {seen}
    before = content(writable)

    again = started({"--n": 2}, distribution=two)
    assert streamed(again, 2) == 0
    assert ended(again, writable)
    assert content(writable) == before

    # What has been damaged on the volume is found out, and brought anew.
    largest = max((writable / "content" / "sha256").iterdir(), key=lambda it: it.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(len(table) // 2)
        file.write(b"damage")
    third = started({"--n": 3})
    assert streamed(third, 1) > len(table)
    until(lambda: (third.outputs / "seen-0").exists(), SECONDS)
    assert ended(third, writable)
    assert (third.outputs / "seen-0").read_text() == seen


def journaled(volume: Path, folder: Path) -> int:
    """The step that is on the claim, whatever is at home."""
    for journal in volume.glob("runs/*/*/1-0.tar"):
        folder.mkdir(exist_ok=True)
        with journal.open("rb") as file:
            OutputReceiver(folder).receive(file)
    with contextlib.suppress(FileNotFoundError):
        return int((folder / "checkpoints" / "step").read_text())
    return 0


def left_alone(run, volume, folder):
    """Kill its supervisor; gives the step that its claim has when that is far beyond what is home."""
    until(lambda: (run.checkpoints / "step").is_file() or run.read().status.ended, SECONDS)
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    at_home = int((run.checkpoints / "step").read_text())
    return until(lambda: (step := journaled(volume, folder)) > at_home + 20 and step, SECONDS)


@pytest.mark.long
def test_what_a_pod_wrote_while_nobody_listened_outlives_it(started, writable, tmp_path):
    run = started(LONG)
    kept = left_alone(run, writable, tmp_path / "kept")
    delete_pod(run, 0, grace=0)

    assert started(LONG).id == run.id
    until(lambda: run.merged_log.read_text().count("starting at") == 2 or run.read().status.ended, SECONDS)
    first, _, second = run.merged_log.read_text().rpartition("starting at ")
    assert int(second.split()[0]) >= kept, run.read().reason
    # Of what the first attempt printed each line is there, once.
    steps = [line for line in first.splitlines() if line.startswith("step")]
    assert steps == [f"step {number}" for number in range(1, len(steps) + 1)]
    assert len(steps) >= kept
    assert ended(run, writable)


def test_outputs_on_a_claim_are_fetched_without_other_objects(started, writable, tmp_path, workspace):
    run = started(LONG)
    kept = left_alone(run, writable, tmp_path / "kept")
    [job] = jobs(run)
    access().batch.delete_namespaced_job(
        job["metadata"]["name"], CLUSTER.namespace, propagation_policy="Background", grace_period_seconds=0
    )
    delete_pod(run, 0, grace=0)
    until(lambda: not pods(run), SECONDS)
    orphans.remove_all(workspace, by_claim(), pytest.fail)
    assert int((run.checkpoints / "step").read_text()) >= kept
    assert not left(run)
    assert not (run.root / "claim.json").exists()
    assert not list((writable / "runs").glob("*/*"))


def test_a_claim_that_cannot_be_written_is_one_line(started, volume):
    emptied(volume, 0, 0o755)
    run = started()
    with pytest.raises(RunFailedError, match=rf"claim {NAME} cannot be written by user 10001, group 10001 .*fsGroup"):
        submission.follow(run)
    assert "\n" not in run.read().reason


def test_an_absent_or_unshareable_claim_is_refused_in_preview():
    with pytest.raises(InvalidInputError, match="there is no claim no-such in namespace trainstack-tests"):
        target_checks.check_compute(by_claim("no-such"))
    once = "trainstack-tests-once"
    with asked_for(once, "ReadWriteOnce"):
        with pytest.raises(InvalidInputError, match=rf"claim {once} has access mode ReadWriteOnce, and 2 nodes"):
            target_checks.check_compute(by_claim(once))
        target_checks.check_compute(by_claim(once, max_nodes=1))
    # Beside a workspace in an object store it is the claim that pods read from and write to.
    compute.check(by_claim(object_store="s3://bucket"))
