"""What a node's sidecar writes to a disk while nobody receives it."""

import itertools
import os
import subprocess
import sys
import time

import pytest
from tests.waiting import until

from trainstack.agent.transfer import journal
from trainstack.agent.transfer.journal import Journal
from trainstack.targets.kubernetes.api.exec import script
from trainstack.targets.transfer.output_receiver import OutputReceiver


def replayed(path, home, upto=None):
    home.mkdir()
    whole = home.with_suffix(".tar")
    whole.write_bytes(path.read_bytes()[:upto])
    with whole.open("rb") as file:
        OutputReceiver(home).receive(file)
    return {it.relative_to(home).as_posix(): it.read_text() for it in home.rglob("*") if it.is_file()}


@pytest.fixture
def written(tmp_path):
    for name in ("outputs", "logs", "checkpoints"):
        (tmp_path / "written" / name).mkdir(parents=True)
    return tmp_path / "written"


def test_whatever_cuts_it_off_it_holds_a_state_to_resume_from(written, tmp_path):
    path = tmp_path / "claim" / "1-0.tar"
    kept = Journal(written, path)
    for step in range(1, 4):
        (written / "checkpoints" / f"step-{step}").write_text(str(step) * 1000)
        (written / "checkpoints" / "latest").write_text(str(step))
        for _ in range(3):
            kept.look()
    size = path.stat().st_size
    assert replayed(path, tmp_path / "all")["checkpoints/latest"] == "3"
    for cut in range(0, size, size // 23):
        found = replayed(path, tmp_path / f"cut-{cut}", cut)
        if latest := found.get("checkpoints/latest"):
            assert found[f"checkpoints/step-{latest}"] == latest * 1000


def test_an_overgrown_journal_is_rewritten_without_a_gap(written, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_LEAST_BYTES", 10_000)
    path = tmp_path / "1-0.tar"
    kept = Journal(written, path)
    sizes = []
    for step in range(60):
        (written / "outputs" / "weights").write_text(f"{step:05}" * 500)
        (written / "logs" / "run.txt").open("a").write(f"step {step}\n")
        kept.look()
        sizes.append(path.stat().st_size)
        found = replayed(path, tmp_path / f"home-{step}")
        assert found["logs/run.txt"].splitlines()[-1] == f"step {step}" or (tmp_path / "1-0.new").exists()
    assert any(later < earlier for earlier, later in itertools.pairwise(sizes))
    for _ in range(journal._WHOLE_LOOKS):
        kept.look()
    assert replayed(path, tmp_path / "end") == {
        "outputs/weights": "00059" * 500,
        "logs/run.txt": "".join(f"step {step}\n" for step in range(60)),
    }


def test_a_restarted_journal_replaces_the_old_when_complete(written, tmp_path):
    path = tmp_path / "1-0.tar"
    (written / "outputs" / "a").write_text("first")
    Journal(written, path)._sender.send(last=True)
    again = Journal(written, path)
    (written / "outputs" / "b").write_text("second")
    for _ in range(journal._WHOLE_LOOKS):
        again.look()
    assert replayed(path, tmp_path / "home") == {"outputs/a": "first", "outputs/b": "second"}


def test_a_sidecar_journals_only_while_nothing_receives(written, tmp_path):
    control, path = tmp_path / "control", tmp_path / "claim" / "runs" / "1-0.tar"
    control.mkdir()
    (written / ".output-sender").mkdir()
    (written / "checkpoints" / "given").write_text("of an earlier attempt")
    (written / ".output-sender" / "initial.json").write_text("{}")
    stay = script("sidecar").replace("_QUIET_SECONDS = 8.0", "_QUIET_SECONDS = 0.5")
    stay = stay.replace("time.sleep(0.2)", "print('looked', flush=True); time.sleep(0.2)")
    process = subprocess.Popen(
        [sys.executable, "-c", stay, control, "60", written, path], stdout=subprocess.PIPE, text=True
    )
    try:
        # Handed over, and the node does not work yet: it has looked for longer than it takes silence for quiet.
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(6)] == ["looked\n"] * 6
        assert not path.exists()
        heartbeat = control / "heartbeat"
        heartbeat.touch()
        (written / "outputs" / "result").write_text("of the node")
        for _ in range(8):
            os.utime(heartbeat, (time.time(), time.time()))
            time.sleep(0.2)
        assert not path.exists()
        number = iter(range(1000))
        until(
            lambda: path.exists() and "outputs/result" in replayed(path, tmp_path / f"home-{next(number)}"),
        )
        (control / "synced").touch()
        assert process.wait(20) == 0
        assert not path.parent.exists()
    finally:
        process.kill()
