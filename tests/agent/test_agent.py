"""One node's agent with real processes, and scripts without TensorFlow."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainstack.agent.plan import LaunchPlan


def test_a_script_gets_folder_arguments_and_threads(launch: Any) -> None:
    launch.write(
        """
import json, os, sys
names = ("TRAINSTACK_RANK", "TRAINSTACK_SIZE", "TRAINSTACK_LOCAL_RANK", "TRAINSTACK_ROLE", "OMP_NUM_THREADS",
         "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "PYTHONUNBUFFERED", "PYTHONPATH", "GREETING", "MINE")
print(json.dumps({"argv": sys.argv, "cwd": os.getcwd(), **{name: os.environ.get(name) for name in names}}))
""",
        "--name",
        "a b",
        cores=3,
        rank_variables={"GREETING": "rank-{rank} {x}"},
    )
    assert launch.run(MINE="kept", TF_NUM_INTEROP_THREADS="9") == [0]
    told = json.loads(launch.log())
    assert told == {
        "argv": ["train.py", "--name", "a b"],
        "cwd": str(launch.folder / "code"),
        "TRAINSTACK_RANK": "0",
        "TRAINSTACK_SIZE": "1",
        "TRAINSTACK_LOCAL_RANK": "0",
        "TRAINSTACK_ROLE": "rank",
        "OMP_NUM_THREADS": "3",
        "TF_NUM_INTRAOP_THREADS": "3",
        "TF_NUM_INTEROP_THREADS": "9",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": None,
        "GREETING": "rank-0 {x}",
        "MINE": "kept",
    }
    assert launch.merged == launch.log()
    report = launch.report()
    assert (report.state, report.ranks[0].exit_code, report.first_failure) == ("succeeded", 0, None)


def test_a_module_runs_as_python_m_runs_it(launch: Any) -> None:
    plan = launch.write("")
    package = launch.folder / "code" / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "train.py").write_text("import sys, package\nprint(__spec__.name, sys.argv[1:])")
    replace(plan, script="", module="package.train", argv=("--lr", "1")).write(launch.folder / "launch.json")
    assert launch.run() == [0]
    assert launch.log() == "package.train ['--lr', '1']\n"


def test_a_script_imports_from_the_path_that_its_run_declares(launch: Any) -> None:
    launch.write("import os, mine; print(mine.__file__, os.environ['PYTHONPATH'])")
    for folder in ("code/src", "code/more"):
        (launch.folder / folder).mkdir()
    (launch.folder / "code/src/mine.py").touch()
    assert launch.run(TRAINSTACK_SCRIPT_PYTHONPATH="more:src", PYTHONUNBUFFERED="0") == [0]
    assert launch.log() == f"{launch.folder}/code/src/mine.py more:src\n"


def test_agent_needs_the_standard_library_alone(launch: Any) -> None:
    launch.write("print('hello')")
    found = subprocess.run(
        [sys.executable, "-S", "-m", "trainstack.agent", "--plan", launch.folder / "launch.json", "--node", "0"],
        env={"PYTHONPATH": str(launch.folder / "agent")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "hello\n", "")


def test_a_failure_reports_exit_code_and_last_lines(launch: Any) -> None:
    launch.write("for i in range(50): print('line', i)\nraise SystemExit(3)")
    assert launch.run() == [1]
    failure = launch.report().first_failure
    assert failure is not None
    assert (failure.rank, failure.exit_code, failure.signal) == (0, 3, None)
    assert failure.tail == tuple(f"line {i}" for i in range(30, 50))
    assert failure.reason == "rank 0 exited with code 3"
    assert launch.report().state == "failed"


def test_death_by_signal_is_reported_as_that_signal(launch: Any) -> None:
    launch.write("import os, signal\nprint('about to go', end='')\nos.kill(os.getpid(), signal.SIGKILL)")
    assert launch.run() == [1]
    failure = launch.report().first_failure
    assert failure is not None
    assert (failure.exit_code, failure.signal, failure.tail) == (None, signal.SIGKILL, ("about to go",))
    assert failure.reason == "rank 0 was ended by SIGKILL"


def test_stop_lets_the_script_save_before_it_ends(launch: Any) -> None:
    launch.write(
        """
import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.5)
    pathlib.Path("saved").write_text("checkpoint")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(60)
""",
        grace_seconds=10,
    )
    agent = launch.start()
    launch.until(lambda: "ready" in launch.log())
    begun = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 143
    assert (launch.folder / "code" / "saved").read_text() == "checkpoint"
    assert time.monotonic() - begun < 5  # the rest of the grace is not waited for
    assert launch.report().state == "terminated"
    assert launch.report().ranks[0].stopped


def test_script_that_ignores_the_stop_is_killed_after_its_grace(launch: Any, alive: Callable[[int], bool]) -> None:
    launch.write(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(60)",
        grace_seconds=1,
    )
    agent = launch.start()
    launch.until(lambda: "ready" in launch.log())
    begun = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 143
    assert 0.9 < time.monotonic() - begun < 4
    rank = launch.report().ranks[0]
    assert rank.signal == signal.SIGKILL
    assert not alive(rank.pid)


def test_child_of_a_rank_may_finish_its_checkpoint_too(launch: Any) -> None:
    launch.write(
        """
import subprocess, sys
child = '''
import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.5); pathlib.Path("saved").touch(); sys.exit(0)
signal.signal(signal.SIGTERM, save); print("ready", flush=True); time.sleep(60)
'''
subprocess.run([sys.executable, "-c", child])
"""
    )
    agent = launch.start()
    launch.until(lambda: "ready" in launch.log())
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 143
    assert (launch.folder / "code" / "saved").exists()


GRANDCHILDREN = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"]
print(subprocess.Popen(sleep).pid)
print(subprocess.Popen(sleep, start_new_session=True).pid)
"""


@pytest.mark.parametrize("ending", ["exits", "fails", "is stopped"])
def test_no_grandchild_outlives_the_agent(launch: Any, alive: Callable[[int], bool], ending: str) -> None:
    last = {"exits": "", "fails": "raise SystemExit(1)", "is stopped": "time.sleep(300)"}[ending]
    launch.write(GRANDCHILDREN + last, grace_seconds=1)
    agent = launch.start()
    launch.until(lambda: launch.log().count("\n") == 2)
    if ending == "is stopped":
        agent.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    assert agent.wait(20) == {"exits": 0, "fails": 1, "is stopped": 143}[ending]
    assert time.monotonic() - begun < 5
    for pid in map(int, launch.log().split()):
        assert not alive(pid)


def test_killed_agent_takes_its_rank_with_it(launch: Any, alive: Callable[[int], bool]) -> None:
    launch.write("import time\nprint('ready')\ntime.sleep(300)")
    agent = launch.start()
    launch.until(lambda: "ready" in launch.log())
    pid = launch.report().ranks[0].pid
    assert alive(pid)
    agent.kill()
    agent.wait()
    launch.until(lambda: not alive(pid), seconds=5)


def test_rank_whose_agent_died_before_it_was_tied_never_starts(launch: Any) -> None:
    tether = launch.folder / "agent" / "trainstack" / "agent" / "ranks" / "pdeathsig_exec.py"
    mark = launch.folder / "started"
    command = [sys.executable, "-I", "-S", tether, "1", sys.executable, "-c", f"open({str(mark)!r}, 'w')"]
    assert subprocess.run(command, check=False).returncode == 1
    assert not mark.exists()
    command[4] = str(os.getpid())
    assert subprocess.run(command, check=False).returncode == 0
    assert mark.exists()


@pytest.mark.parametrize("limit", [0, 5_000_000])
def test_a_flood_of_output_takes_little_memory_and_keeps_its_end(launch: Any, limit: int) -> None:
    launch.write(
        """
import sys
line = b"x" * 999 + b"\\n"
for _ in range(50):
    sys.stdout.buffer.write(line * 1000)
sys.stdout.buffer.write(b"y" * 5_000_000)
print("\\nthe end", flush=True)
""",
        log_bytes=limit,
    )
    agent = launch.start()
    peak = 0
    while agent.poll() is None:
        try:
            status = Path(f"/proc/{agent.pid}/status").read_text()
            peak = max([peak, *(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM"))])
        except OSError:
            pass
        time.sleep(0.02)
    assert agent.returncode == 0
    log = launch.merged
    assert log.endswith("\nthe end\n")
    assert log.startswith("x" * 999 + "\n")
    assert not (launch.folder / "logs").exists(), "kept once"
    if limit:
        assert limit < len(log) < limit + 1_200_000
        assert re.search(r"^trainstack: 4\d,\d{3},\d{3} bytes are left out here, by log_limit$", log, re.MULTILINE)
    else:
        assert len(log.replace("\n", "")) == 999 * 50_000 + 5_000_000 + len("the end")
    assert 0 < peak < 60_000  # KiB


def waiting_bytes(descriptor: int) -> int:
    """How much of a pipe nobody has read."""
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"    "))[0]


def test_unread_output_does_not_block_a_stop(launch: Any) -> None:
    launch.write("while True: print('x' * 10000)", grace_seconds=1)
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "trainstack.agent", "--plan", launch.folder / "launch.json", "--node", "0"],
        env={"PYTHONPATH": str(launch.folder / "agent")},
        stdout=writing,
    ) as agent:
        os.close(writing)
        try:
            launch.until(lambda: waiting_bytes(reading) >= 60_000)
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(15) == 143
        finally:
            agent.kill()
    os.close(reading)


def test_plan_that_cannot_be_launched_is_refused_in_one_line(launch: Any) -> None:
    launch.write("")
    path = launch.folder / "launch.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "cores": "two"}))
    assert launch.start().wait(20) == 2
    assert launch.merged == "trainstack: launch plan: cores must be int, not 'two'\n"


def test_missing_code_folder_is_reported_as_an_error(launch: Any) -> None:
    plan: LaunchPlan = launch.write("")
    (launch.folder / "code" / "train.py").unlink()
    (launch.folder / "code").rmdir()
    assert launch.start().wait(20) == 2
    assert launch.report().state == "failed"
    assert plan.code in launch.report().error
