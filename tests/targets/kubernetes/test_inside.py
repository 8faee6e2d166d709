"""What runs in pods before our package is there, as processes of this machine."""

import io
import json
import signal
import subprocess
import sys
import tarfile

import pytest
from tests.waiting import until

from trainstack.targets.kubernetes.api.exec import script


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "launch.json"
    path.write_text(json.dumps({"nodes": ["localhost"]}))
    return path


def begin(tmp_path, plan, *command):
    fifo = tmp_path / "line"
    process = subprocess.Popen(
        [sys.executable, "-c", script("entrypoint"), fifo, plan, tmp_path / "ended", "60", *command]
    )
    return process, fifo


def hand(fifo, line):
    given = subprocess.run(
        [sys.executable, "-c", script("pass_env"), fifo, "30"], input=line, check=True, capture_output=True
    )
    assert given.stdout == b"passed\n"


def test_a_node_gets_its_variables_by_a_pipe_that_is_gone_then(tmp_path, plan):
    code = f"import sys; open({str(tmp_path / 'got')!r}, 'w').write(sys.stdin.read()); sys.exit(7)"
    process, fifo = begin(tmp_path, plan, sys.executable, "-c", code)
    hand(fifo, b'{"TOKEN": "x"}\n')
    assert process.wait(20) == 7
    assert (tmp_path / "got").read_text() == '{"TOKEN": "x"}\n'
    assert not fifo.exists()


def test_an_agent_gets_signals_and_its_death_names_one(tmp_path, plan):
    process, fifo = begin(tmp_path, plan, "sh", "-c", "kill -9 $$")
    hand(fifo, b"{}\n")
    assert process.wait(20) == 137
    assert (tmp_path / "ended").read_text() == "137"
    ready = tmp_path / "ready"
    process, fifo = begin(
        tmp_path, plan, "sh", "-c", f"trap 'exit 143' TERM; touch {ready}; while :; do sleep 0.1; done"
    )
    hand(fifo, b"{}\n")
    until(ready.exists)
    process.terminate()
    assert process.wait(20) == 143


def test_an_archive_is_unpacked_though_nobody_closes_the_stream(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("folder/file")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    process = subprocess.Popen(
        [sys.executable, "-c", script("unpack"), tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(buffer.getvalue().rstrip(b"\0").ljust(1024 + 2 * 512, b"\0"))
    process.stdin.flush()
    assert process.wait(20) == 0
    process.stdin.close()
    assert (tmp_path / "folder" / "file").read_text() == "abc"


def test_a_sidecar_stays_until_all_is_synced_or_time_is_up(tmp_path):
    written = tmp_path / "written"
    handed = written / ".output-sender" / "initial.json"
    handed.parent.mkdir(parents=True)
    handed.touch()
    process = subprocess.Popen([sys.executable, "-c", script("sidecar"), tmp_path, "60", written])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    (tmp_path / "synced").touch()
    assert process.wait(20) == 0
    (tmp_path / "synced").unlink()
    alone = [sys.executable, "-c", script("sidecar"), tmp_path, "0.2", written]
    assert subprocess.run(alone, check=False).returncode == 3
    # One that was given nothing holds nothing: it ends when it is asked to.
    handed.unlink()
    process = subprocess.Popen([sys.executable, "-c", script("sidecar"), tmp_path, "60", written])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
    # Or it had not come to hear of it yet.
    assert process.wait(20) in (143, -signal.SIGTERM)
