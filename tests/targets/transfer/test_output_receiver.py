"""What nodes write arrives as a stream that may be cut off anywhere: both ends, without any engine."""

import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from trainstack.agent.transfer.output_sender import OFFSET, OutputSender
from trainstack.errors import TrainstackError
from trainstack.targets.base import WRITTEN, RunRef
from trainstack.targets.transfer import archive
from trainstack.targets.transfer.output_receiver import OutputReceiver


class Transfer:
    """A sender and a receiver with the bytes between them to look at, or to cut."""

    def __init__(self, root: Path) -> None:
        self.node, self.run = root / "node", root / "run"
        for name in WRITTEN:
            (self.node / name).mkdir(parents=True)
        self.run.mkdir()
        self.pipe = io.BytesIO()
        self.sender = OutputSender(self.node, self.pipe)
        self.receiver = OutputReceiver(self.run)

    def write(self, name: str, text: str) -> Path:
        path = self.node / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def look(self, *, last: bool = False) -> bytes:
        before = self.pipe.tell()
        self.sender.send(last=last)
        return self.pipe.getvalue()[before:]

    def bring(self, upto: int | None = None) -> bool:
        return self.receiver.receive(io.BytesIO(self.pipe.getvalue()[:upto]))

    def received(self) -> dict[str, str]:
        return contents(self.run)


def contents(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as archive:
        return [entry.name for entry in archive if entry.isreg()]


@pytest.fixture
def transfer(tmp_path):
    return Transfer(tmp_path)


def test_the_last_scan_sends_everything_and_ends_the_stream(transfer):
    transfer.write("outputs/model/weights", "w")
    (transfer.node / "outputs/model/assets").mkdir()
    transfer.write("checkpoints/état", "é")
    transfer.write("logs/run.txt", "a\n")
    transfer.look()
    transfer.write("logs/run.txt", "a\nb\n")
    assert transfer.bring() is False
    transfer.look(last=True)
    assert transfer.bring() is True
    assert transfer.received() == {"outputs/model/weights": "w", "checkpoints/état": "é", "logs/run.txt": "a\nb\n"}
    assert (transfer.run / "outputs/model/assets").is_dir()


def test_of_a_log_only_what_was_appended_is_sent(transfer):
    path = transfer.write("logs/node-0.txt", "x" * 10_000)
    transfer.look()
    with path.open("a") as log:
        log.write("more\n")
    assert len(transfer.look()) < 4096
    transfer.bring()
    assert transfer.received()["logs/node-0.txt"] == "x" * 10_000 + "more\n"


def test_a_metric_is_appended_to_and_a_tag_is_replaced(transfer):
    metric = transfer.write("tracking/rank-0/0/run/metrics/loss", "1 0.5 0\n")
    tag = transfer.write("tracking/rank-0/0/run/tags/note", "a")
    transfer.look()
    transfer.look()
    with metric.open("a") as file:
        file.write("2 0.4 1\n")
    tag.write_text("another, and longer")
    transfer.look()
    transfer.look()
    transfer.bring()
    assert transfer.received()["tracking/rank-0/0/run/metrics/loss"] == "1 0.5 0\n2 0.4 1\n"
    assert transfer.received()["tracking/rank-0/0/run/tags/note"] == "another, and longer"


def test_an_unfinished_checkpoint_and_its_pointer_wait(transfer):
    data = transfer.write("checkpoints/ckpt-2.data", "half")
    transfer.look()
    data.write_text("whole now")
    transfer.write("checkpoints/checkpoint", "ckpt-2")
    assert names(transfer.look()) == []
    assert names(transfer.look()) == ["checkpoints/ckpt-2.data", "checkpoints/checkpoint"]


def test_a_file_that_never_rests_holds_up_nothing_for_long(transfer):
    for number in range(30):
        transfer.write("checkpoints/journal", "line\n" * number)
        transfer.write("checkpoints/state", "s") if number == 0 else None
        transfer.look()
    transfer.bring()
    assert {"checkpoints/journal", "checkpoints/state"} <= transfer.received().keys()


def test_a_file_that_is_replaced_is_sent_at_once(transfer):
    for number in range(3):
        aside = transfer.write(f"checkpoints/aside-{number}", str(number))
        aside.replace(transfer.node / "checkpoints/step")
        transfer.look()
    transfer.bring()
    assert transfer.received()["checkpoints/step"] == "2"


def test_a_cut_stream_leaves_whole_files_and_valid_pointers(transfer):
    chance = random.Random(7)
    for step in range(4):
        transfer.write(f"checkpoints/ckpt-{step}.data", f"{step}" * 3000)
        transfer.look()
        transfer.look()
        transfer.write("checkpoints/checkpoint", f"ckpt-{step}")
        transfer.look()
        transfer.look()
        if step:
            (transfer.node / f"checkpoints/ckpt-{step - 1}.data").unlink()
            transfer.look()
    whole = {f"{step}" * 3000 for step in range(4)}
    for _ in range(60):
        transfer.bring(chance.randrange(len(transfer.pipe.getvalue())))
        found = transfer.received()
        data = {name: text for name, text in found.items() if name.endswith(".data")}
        assert set(data.values()) <= whole
        if "checkpoints/checkpoint" in found:
            assert f"checkpoints/{found['checkpoints/checkpoint']}.data" in found


def test_a_restarted_sender_sends_only_what_has_changed(tmp_path, transfer):
    run = RunRef(tmp_path / "run", "w")
    for name, text in {"checkpoints/kept": "old", "checkpoints/gone": "old", "logs/run.txt": "before\n"}.items():
        (run.root / name).parent.mkdir(exist_ok=True)
        (run.root / name).write_text(text)
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive.written_stream(run, os.getuid())))) as stream:
        stream.extractall(transfer.node, filter="fully_trusted")
    with (transfer.node / "logs/run.txt").open("a") as log:
        log.write("after\n")
    (transfer.node / "checkpoints/gone").unlink()
    for _ in range(2):
        transfer.sender = OutputSender(transfer.node, transfer.pipe)
        sent = transfer.look(last=True)
        assert "checkpoints/kept" not in names(sent)
        assert transfer.receiver.receive(io.BytesIO(sent))
    assert transfer.received() == {"checkpoints/kept": "old", "logs/run.txt": "before\nafter\n"}


def hostile(*entries: tuple[str, dict]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, given in entries:
            info = tarfile.TarInfo(name)
            content = given.pop("content", b"evil")
            for key, value in given.items():
                setattr(info, key, value)
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return io.BytesIO(stream.getvalue())


@pytest.mark.parametrize(
    "entries",
    [
        [("run.json", {})],
        [("/etc/evil", {})],
        [("outputs/../run.json", {})],
        [("outputs/../../evil", {})],
        [("outputs/link", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("outputs/link/run.json", {})],
        [("logs/run.txt", {"type": tarfile.SYMTYPE, "linkname": "../run.json"}), ("logs/run.txt", {})],
        [("outputs/link", {"type": tarfile.SYMTYPE, "linkname": "/etc"})],
        [("outputs/device", {"type": tarfile.CHRTYPE})],
        [("outputs/hard", {"type": tarfile.LNKTYPE, "linkname": "run.json"})],
        [
            ("logs/a", {"type": tarfile.SYMTYPE, "linkname": "../run.json"}),
            ("logs/a", {"pax_headers": {OFFSET: "0"}}),
        ],
    ],
)
def test_a_hostile_stream_writes_only_below_the_output_folders(tmp_path, entries):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    OutputReceiver(run).receive(hostile(*entries))
    assert (run / "run.json").read_text() == "{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert not any(path.is_symlink() for path in run.rglob("*"))


def test_a_link_that_stays_below_its_folder_is_received(transfer):
    transfer.write("outputs/model-3", "x")
    (transfer.node / "outputs/latest").symlink_to("model-3")
    transfer.look(last=True)
    assert transfer.bring()
    assert os.readlink(transfer.run / "outputs/latest") == "model-3"  # noqa: PTH115


def test_a_file_may_replace_a_folder_and_a_folder_a_file(transfer):
    transfer.write("outputs/a/b", "x")
    transfer.write("outputs/c", "y")
    transfer.look()
    transfer.look()
    transfer.bring()
    (transfer.node / "outputs/a/b").unlink()
    (transfer.node / "outputs/a").rmdir()
    (transfer.node / "outputs/c").unlink()
    transfer.write("outputs/a", "now a file")
    transfer.write("outputs/c/d", "now a folder")
    transfer.look(last=True)
    assert transfer.bring()
    assert transfer.received() == {"outputs/a": "now a file", "outputs/c/d": "now a folder"}


def test_a_full_disk_at_home_is_one_clear_line(small_disk, tmp_path):
    transfer = Transfer(tmp_path / "transfer")
    transfer.write("outputs/large", "x" * 3_000_000)
    transfer.look(last=True)
    receiver = OutputReceiver(small_disk)
    with pytest.raises(TrainstackError, match="disk full while writing"):
        receiver.receive(io.BytesIO(transfer.pipe.getvalue()))
    assert not [path for path in small_disk.rglob("*") if path.is_file()]


def test_the_sender_program_sends_live_and_ends_on_a_signal(transfer):
    command = [sys.executable, "-m", "trainstack.agent.transfer.output_sender", str(transfer.node)]
    path = Path(__file__).parents[2] / "components"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(path)})
    assert process.stdout is not None
    output = process.stdout.fileno()
    ended: list[bool] = []

    class Reader:
        def read(self, size: int = -1, /) -> bytes:
            return os.read(output, size)

    thread = threading.Thread(target=lambda: ended.append(transfer.receiver.receive(Reader())))
    thread.start()
    transfer.write("logs/run.txt", "live\n")
    deadline = time.monotonic() + 20
    while not (transfer.run / "logs/run.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    transfer.write("outputs/late", "late")
    process.send_signal(signal.SIGTERM)
    thread.join(20)
    assert ended == [True]
    assert process.wait(10) == 0
    assert transfer.received()["outputs/late"] == "late"
