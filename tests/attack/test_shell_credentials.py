"""A script looks for the submitting shell's credentials: in its own environment and in that of all processes above."""

import json
import os

import pytest
from tests.core.sample_runs import request, tiny_environment
from tests.waiting import until

from trainstack import process_environment
from trainstack.core.daemons import daemonize
from trainstack.core.environments import uv_command
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.compute_spec import ComputeSpec

HUSH = "hush-hush-4711"
SPY = """
import json, os, pathlib
seen, pid = {}, os.getpid()
while pid > 1:
    stat = pathlib.Path("/proc", str(pid), "stat").read_bytes()
    seen[pid] = pathlib.Path("/proc", str(pid), "environ").read_bytes().decode(errors="replace")
    pid = int(stat.rpartition(b")")[2].split()[1])
pathlib.Path("outputs/seen.json").write_text(json.dumps({"processes": seen, "own": dict(os.environ)}))
"""
DAEMON = """
import json, os, pathlib, sys
def main():
    stdin = sys.stdin.read()
    started_with = pathlib.Path("/proc/self/environ").read_bytes().decode()
    pathlib.Path("aside").write_text(json.dumps({"has": dict(os.environ), "with": started_with, "stdin": stdin}))
    os.rename("aside", "facts.json")
"""


@pytest.fixture
def shell(monkeypatch):
    """A shell with credentials in it."""
    for name in ("AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "GITHUB_TOKEN", "PULUMI_ACCESS_TOKEN"):
        monkeypatch.setenv(name, HUSH)
    monkeypatch.setenv("KUBECONFIG", f"/{HUSH}/config")
    monkeypatch.setenv("UV_INDEX_OURS_PASSWORD", HUSH)


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    (tmp_path / "spied_upon.py").write_text(DAEMON)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")

    def start(name, **given):
        folder = tmp_path / name
        folder.mkdir()
        daemonize.start("spied_upon", folder=folder, log=folder / "log.txt", **given)
        until(lambda: (folder / "facts.json").is_file())
        return json.loads((folder / "facts.json").read_text())

    return start


def test_a_script_finds_no_credentials_in_any_process_above_it(shell, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(SPY)
    workspace = Workspace.create(tmp_path / "ws", "ws")
    run = submission.submit(workspace, request(tiny_environment(), source), source, {}).directory
    submission.follow(run)
    seen = json.loads((run.outputs / "seen.json").read_text())
    assert len(seen["processes"]) >= 3  # script, agent, supervisor
    assert [pid for pid, environ in seen["processes"].items() if HUSH in environ] == []
    assert HUSH not in json.dumps(seen["own"])


@pytest.mark.parametrize("prefork", [False, True], ids=["an interpreter of its own", "a fork"])
def test_credentials_that_a_daemon_needs_are_not_what_it_was_started_with(prefork, shell, daemon):
    given = {"stdin": b"secret input", "variables": process_environment.selected(process_environment.CLOUD)}
    if prefork:
        with daemonize.prefork("spied_upon"):
            facts = daemon("forked", **given)
    else:
        facts = daemon("alone", **given)
    assert facts["has"]["AWS_SECRET_ACCESS_KEY"] == HUSH
    assert HUSH not in facts["with"]
    assert "GITHUB_TOKEN" not in facts["has"]
    assert facts["stdin"] == "secret input"


def test_a_supervisor_gets_what_its_own_place_takes(shell, request_for_compute):
    here = submission.supervisor_variables(request_for_compute(ComputeSpec(name="here")))
    assert here["UV_INDEX_OURS_PASSWORD"] == HUSH
    assert not here.keys() & {"AWS_SECRET_ACCESS_KEY", "KUBECONFIG", "GITHUB_TOKEN"}
    stored = submission.supervisor_variables(request_for_compute(ComputeSpec(name="here", object_store="s3://b/f")))
    assert stored["AWS_SECRET_ACCESS_KEY"] == HUSH
    cluster = ComputeSpec.model_validate({"name": "there", "target": "kubernetes", "config": {"namespace": "n"}})
    there = submission.supervisor_variables(request_for_compute(cluster))
    assert there["KUBECONFIG"] == f"/{HUSH}/config"
    assert "GITHUB_TOKEN" not in there


@pytest.fixture
def request_for_compute(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").touch()
    return lambda compute: request(tiny_environment(), source, compute=compute)


def test_the_build_of_a_package_sees_no_credentials_of_a_cloud(shell, tmp_path):
    printed = "\n".join(uv_command.run(["env"], folder=tmp_path))
    assert f"UV_INDEX_OURS_PASSWORD={HUSH}" in printed
    assert "AWS_SECRET_ACCESS_KEY" not in printed
    assert "GITHUB_TOKEN" not in printed
