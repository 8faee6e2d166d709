"""Nodes as process groups of this machine: none outlives its run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import until

from trainstack.errors import TrainstackError
from trainstack.targets.local.node import MARKER, NodeSpec, start
from trainstack.targets.local.orphans import processes, remove_all


@pytest.fixture
def node(tmp_path):
    """A node whose agent is a script of the test's."""

    def make(agent, **changes):
        package = tmp_path / "agent" / "trainstack" / "agent"
        package.mkdir(parents=True, exist_ok=True)
        (package.parent / "__init__.py").touch()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(agent)
        values = {
            "index": 0,
            "python": Path(sys.executable),
            "agent": tmp_path / "agent",
            "plan": tmp_path / "launch.json",
            "log": tmp_path / "logs" / "run.txt",
            "marker": tmp_path / "run",
        }
        return NodeSpec(**{**values, **changes})

    return make


def test_an_agent_runs_with_its_plan_and_its_output_is_kept(node, tmp_path):
    started = start(node("import sys; print(sys.argv[1:]); sys.exit(4)"))
    until(lambda: started.poll() is not None)
    assert started.poll() == 4
    text = (tmp_path / "logs" / "run.txt").read_text()
    assert text == f"['--plan', '{tmp_path / 'launch.json'}', '--node', '0']\n"


def test_a_node_gets_only_the_declared_environment(node, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    started = start(node("import os; print(dict(os.environ))", environment={"DECLARED": "y"}))
    until(lambda: started.poll() is not None)
    text = (tmp_path / "logs" / "run.txt").read_text()
    assert "'DECLARED': 'y'" in text
    assert "SECRET_OF_THE_SHELL" not in text


def test_killing_a_node_kills_its_process_group(node, tmp_path):
    spec = node("import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)")
    started = start(spec)
    until(lambda: len(processes(spec.marker)) == 2)
    started.kill()
    until(lambda: not processes(spec.marker))
    assert started.poll() == -signal.SIGKILL


def test_what_left_its_process_group_is_swept_by_its_marker(node):
    spec = node("import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)")
    started = start(spec)
    until(lambda: started.poll() is not None)
    assert len(processes(spec.marker)) == 1
    assert remove_all(spec.marker) == 1
    assert not processes(spec.marker)


def test_sweeping_touches_no_other_run(tmp_path):
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, MARKER: str(tmp_path / "run-2")})
    try:
        assert remove_all(tmp_path / "run") == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_interpreter_that_is_gone_is_one_clear_line(node, tmp_path):
    with pytest.raises(TrainstackError, match=r"node 0 could not be started with .*absent"):
        start(node("", python=tmp_path / "absent"))
