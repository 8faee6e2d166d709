"""Files are written whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from trainstack.errors import TrainstackError
from trainstack.storage.atomic import disk_errors, read_json, write_bytes, write_json

# Rewrites one file for ever, with contents whose every byte says which of them it is.
WRITER = """
import sys
from pathlib import Path
from trainstack.storage.atomic import write_bytes
target = Path(sys.argv[1])
while True:
    for letter in (b"a", b"b"):
        write_bytes(target, letter * 300_000)
        print("written", flush=True)
"""


def test_json_comes_back_as_it_was_written(tmp_path):
    value = {"b": [1, 2.5, None], "a": "Größe"}
    write_json(tmp_path / "new" / "folder" / "value.json", value)
    assert read_json(tmp_path / "new" / "folder" / "value.json") == value


def test_equal_values_give_equal_bytes(tmp_path):
    write_json(tmp_path / "one.json", {"a": 1, "b": 2})
    write_json(tmp_path / "two.json", {"b": 2, "a": 1})
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_a_failed_write_keeps_the_old_content(tmp_path):
    target = tmp_path / "value.json"
    write_json(target, {"old": True})
    with pytest.raises(TypeError):
        write_json(target, {"new": object()})
    with pytest.raises(TypeError):
        write_bytes(target, "text, not bytes")  # type: ignore[arg-type]
    assert read_json(target) == {"old": True}
    assert [path.name for path in tmp_path.iterdir()] == ["value.json"]


def test_the_mode_is_set_from_the_start(tmp_path):
    write_bytes(tmp_path / "private", b"x", mode=0o600)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_a_writer_killed_at_any_point_leaves_a_whole_file(tmp_path):
    target = tmp_path / "value"
    seen = set()
    for delay in (0.0, 0.003, 0.007, 0.011, 0.017):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        content = target.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
        seen.add(content[:1])
    assert seen <= {b"a", b"b"}
    write_bytes(target, b"the next call succeeds")
    assert target.read_bytes() == b"the next call succeeds"


def test_damaged_json_is_one_line_that_names_the_file(tmp_path):
    path = tmp_path / "value.json"
    path.write_text('{"half": ')
    with pytest.raises(TrainstackError, match=r"value\.json is damaged") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_missing_json_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_a_full_disk_is_one_line_and_keeps_the_old_content(small_disk):
    target = small_disk / "value.json"
    write_json(target, {"old": True})
    with pytest.raises(TrainstackError, match=r"disk full while writing .*value\.json") as caught:
        write_bytes(target, os.urandom(2_000_000))
    assert "\n" not in str(caught.value)
    assert json.loads(target.read_text()) == {"old": True}
    assert [path.name for path in small_disk.iterdir()] == ["value.json"]
    write_json(target, {"new": True})
    assert read_json(target) == {"new": True}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_one_line(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(TrainstackError, match=r"cannot write .*check the folder's owner and mode"):
            write_bytes(tmp_path / "value", b"x")
    finally:
        tmp_path.chmod(0o755)


def test_other_errors_of_the_file_system_are_not_hidden(tmp_path):
    with pytest.raises(IsADirectoryError), disk_errors(tmp_path):
        tmp_path.read_bytes()
