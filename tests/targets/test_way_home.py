"""What nodes write comes home as a stream that may be cut off anywhere: both ends, without any engine."""

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
from trainstack.targets.transfer import archive as bundle
from trainstack.targets.transfer.output_receiver import OutputReceiver


class Way:
    """A sender and a receiver with the bytes between them to look at, or to cut."""

    def __init__(self, root: Path) -> None:
        self.node, self.home = root / "node", root / "home"
        for name in WRITTEN:
            (self.node / name).mkdir(parents=True)
        self.home.mkdir()
        self.pipe = io.BytesIO()
        self.sender = OutputSender(self.node, self.pipe)
        self.receiver = OutputReceiver(self.home)

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

    def at_home(self) -> dict[str, str]:
        return contents(self.home)


def contents(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as archive:
        return [entry.name for entry in archive if entry.isreg()]


@pytest.fixture
def way(tmp_path):
    return Way(tmp_path)


def test_the_last_scan_sends_everything_and_ends_the_stream(way):
    way.write("outputs/model/weights", "w")
    (way.node / "outputs/model/assets").mkdir()
    way.write("checkpoints/état", "é")
    way.write("logs/run.txt", "a\n")
    way.look()
    way.write("logs/run.txt", "a\nb\n")
    assert way.bring() is False
    way.look(last=True)
    assert way.bring() is True
    assert way.at_home() == {"outputs/model/weights": "w", "checkpoints/état": "é", "logs/run.txt": "a\nb\n"}
    assert (way.home / "outputs/model/assets").is_dir()


def test_of_a_log_only_what_was_appended_is_sent(way):
    path = way.write("logs/rank-0.txt", "x" * 10_000)
    way.look()
    with path.open("a") as log:
        log.write("more\n")
    assert len(way.look()) < 4096
    way.bring()
    assert way.at_home()["logs/rank-0.txt"] == "x" * 10_000 + "more\n"


def test_a_metric_is_appended_to_and_a_tag_is_replaced(way):
    metric = way.write("tracking/rank-0/0/run/metrics/loss", "1 0.5 0\n")
    tag = way.write("tracking/rank-0/0/run/tags/note", "a")
    way.look()
    way.look()
    with metric.open("a") as file:
        file.write("2 0.4 1\n")
    tag.write_text("another, and longer")
    way.look()
    way.look()
    way.bring()
    assert way.at_home()["tracking/rank-0/0/run/metrics/loss"] == "1 0.5 0\n2 0.4 1\n"
    assert way.at_home()["tracking/rank-0/0/run/tags/note"] == "another, and longer"


def test_an_unfinished_checkpoint_and_its_pointer_wait(way):
    data = way.write("checkpoints/ckpt-2.data", "half")
    way.look()
    data.write_text("whole now")
    way.write("checkpoints/checkpoint", "ckpt-2")
    assert names(way.look()) == []
    assert names(way.look()) == ["checkpoints/ckpt-2.data", "checkpoints/checkpoint"]


def test_a_file_that_never_rests_holds_up_nothing_for_long(way):
    for number in range(30):
        way.write("checkpoints/journal", "line\n" * number)
        way.write("checkpoints/state", "s") if number == 0 else None
        way.look()
    way.bring()
    assert {"checkpoints/journal", "checkpoints/state"} <= way.at_home().keys()


def test_a_file_that_is_replaced_is_sent_at_once(way):
    for number in range(3):
        aside = way.write(f"checkpoints/aside-{number}", str(number))
        aside.replace(way.node / "checkpoints/step")
        way.look()
    way.bring()
    assert way.at_home()["checkpoints/step"] == "2"


def test_a_cut_stream_leaves_whole_files_and_valid_pointers(way):
    chance = random.Random(7)
    for step in range(4):
        way.write(f"checkpoints/ckpt-{step}.data", f"{step}" * 3000)
        way.look()
        way.look()
        way.write("checkpoints/checkpoint", f"ckpt-{step}")
        way.look()
        way.look()
        if step:
            (way.node / f"checkpoints/ckpt-{step - 1}.data").unlink()
            way.look()
    whole = {f"{step}" * 3000 for step in range(4)}
    for _ in range(60):
        way.bring(chance.randrange(len(way.pipe.getvalue())))
        found = way.at_home()
        data = {name: text for name, text in found.items() if name.endswith(".data")}
        assert set(data.values()) <= whole
        if "checkpoints/checkpoint" in found:
            assert f"checkpoints/{found['checkpoints/checkpoint']}.data" in found


def test_a_restarted_sender_sends_only_what_has_changed(tmp_path, way):
    home = RunRef(tmp_path / "home", "w")
    for name, text in {"checkpoints/kept": "old", "checkpoints/gone": "old", "logs/run.txt": "before\n"}.items():
        (home.root / name).parent.mkdir(exist_ok=True)
        (home.root / name).write_text(text)
    with tarfile.open(fileobj=io.BytesIO(b"".join(bundle.kept(home, os.getuid())))) as archive:
        archive.extractall(way.node, filter="fully_trusted")
    with (way.node / "logs/run.txt").open("a") as log:
        log.write("after\n")
    (way.node / "checkpoints/gone").unlink()
    for _ in range(2):
        way.sender = OutputSender(way.node, way.pipe)
        sent = way.look(last=True)
        assert "checkpoints/kept" not in names(sent)
        assert way.receiver.receive(io.BytesIO(sent))
    assert way.at_home() == {"checkpoints/kept": "old", "logs/run.txt": "before\nafter\n"}


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
    home = tmp_path / "home"
    home.mkdir()
    (home / "run.json").write_text("{}")
    OutputReceiver(home).receive(hostile(*entries))
    assert (home / "run.json").read_text() == "{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert not any(path.is_symlink() for path in home.rglob("*"))


def test_a_link_that_stays_below_its_folder_comes_home(way):
    way.write("outputs/model-3", "x")
    (way.node / "outputs/latest").symlink_to("model-3")
    way.look(last=True)
    assert way.bring()
    assert os.readlink(way.home / "outputs/latest") == "model-3"  # noqa: PTH115


def test_a_file_in_the_place_of_a_folder_and_the_other_way_round(way):
    way.write("outputs/a/b", "x")
    way.write("outputs/c", "y")
    way.look()
    way.look()
    way.bring()
    (way.node / "outputs/a/b").unlink()
    (way.node / "outputs/a").rmdir()
    (way.node / "outputs/c").unlink()
    way.write("outputs/a", "now a file")
    way.write("outputs/c/d", "now a folder")
    way.look(last=True)
    assert way.bring()
    assert way.at_home() == {"outputs/a": "now a file", "outputs/c/d": "now a folder"}


def test_a_full_disk_at_home_is_one_clear_line(small_disk, tmp_path):
    way = Way(tmp_path / "way")
    way.write("outputs/large", "x" * 3_000_000)
    way.look(last=True)
    receiver = OutputReceiver(small_disk)
    with pytest.raises(TrainstackError, match="disk full while writing"):
        receiver.receive(io.BytesIO(way.pipe.getvalue()))
    assert not [path for path in small_disk.rglob("*") if path.is_file()]


def test_the_sender_program_sends_live_and_ends_on_a_signal(way):
    command = [sys.executable, "-m", "trainstack.agent.transfer.output_sender", str(way.node)]
    path = Path(__file__).parents[2] / "components"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(path)})
    assert process.stdout is not None
    output = process.stdout.fileno()
    ended: list[bool] = []

    class Reader:
        def read(self, size: int = -1, /) -> bytes:
            return os.read(output, size)

    thread = threading.Thread(target=lambda: ended.append(way.receiver.receive(Reader())))
    thread.start()
    way.write("logs/run.txt", "live\n")
    deadline = time.monotonic() + 20
    while not (way.home / "logs/run.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    way.write("outputs/late", "late")
    process.send_signal(signal.SIGTERM)
    thread.join(20)
    assert ended == [True]
    assert process.wait(10) == 0
    assert way.at_home()["outputs/late"] == "late"
