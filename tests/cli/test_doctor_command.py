"""`trainstack doctor`: each problem is reported with its state and with what to do about it."""

import json
import os
import shutil
import socket
import stat
import sys

import pytest

from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.runs.directory import Status


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with a Pulumi engine that is new enough, an empty cache, and nothing else of note."""
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(shutil.which("git") or pytest.skip("there is no git"))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/nowhere")
    engine(folder, "v3.259.0")
    return folder


def engine(folder, version):
    file = folder / "pulumi"
    file.write_text(f"#!/bin/sh\necho {version}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def checks(cli):
    """What the doctor says, by name, and whether it ends well."""

    def look():
        result = cli("doctor", "--json")
        document = json.loads(result.stdout)
        assert result.stderr == ""
        assert result.exit_code == (0 if document["healthy"] else 1)
        return {check["name"]: check for check in document["checks"]}, document["healthy"]

    return look


def test_a_whole_machine_and_workspace_pass(workspace, checks, cli):
    results, healthy = checks()
    assert healthy
    of_the_machine = ["python", "pulumi", "uv", "git", "cache", "environments", "docker", "kubernetes"]
    assert list(results) == [*of_the_machine, "workspace", "disk", "runs", "services"]
    assert {check["state"] for check in results.values()} == {"ok"}
    lines = cli("doctor").stdout.splitlines()
    assert len(lines) == len(results)
    assert all(line.startswith("ok  ") for line in lines)


def test_without_an_engine_it_fails_and_says_where_to_get_one(workspace, machine, checks, cli, monkeypatch):
    (machine / "pulumi").unlink()
    monkeypatch.setattr(sys, "executable", str(machine / "python"))  # the checkout's own engine lies beside Python
    results, healthy = checks()
    assert not healthy
    assert (results["pulumi"]["state"], results["pulumi"]["found"]) == ("broken", "not on PATH")
    assert "make setup" in results["pulumi"]["advice"]
    result = cli("doctor")
    assert result.exit_code == 1
    assert "not on PATH: run `make setup`" in result.stdout


@pytest.mark.parametrize(
    ("version", "state"),
    [("v3.250.0", "ok"), ("v3.249.9", "broken"), ("v4.0.0", "ok"), ("gibberish", "broken"), ("v3.300.1-dev.7", "ok")],
)
def test_an_engine_that_is_too_old_is_broken(workspace, machine, checks, version, state):
    engine(machine, version)
    assert checks()[0]["pulumi"]["state"] == state


def test_missing_git_is_a_warning_and_no_failure(workspace, machine, checks):
    (machine / "git").unlink()
    results, healthy = checks()
    assert (results["git"]["state"], healthy) == ("warning", True)


def test_no_workspace_is_a_warning_until_one_is_named(checks, monkeypatch, tmp_path):
    monkeypatch.delenv("TRAINSTACK_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    results, healthy = checks()
    assert (results["workspace"]["state"], healthy) == ("warning", True)
    assert "runs" not in results
    monkeypatch.setenv("TRAINSTACK_WORKSPACE", str(tmp_path / "none"))
    results, healthy = checks()
    assert (results["workspace"]["state"], healthy) == ("broken", False)


@pytest.mark.parametrize("marker", ['{"layout": 99, "name": "x"}', "{", '{"name": "x"}', "[]"])
def test_a_damaged_workspace_hides_no_other_check(workspace, checks, marker):
    (workspace.root / "workspace.json").write_text(marker)
    results, healthy = checks()
    assert (results["workspace"]["state"], results["python"]["state"], healthy) == ("broken", "ok", False)


def test_interrupted_and_never_started_runs_are_named(written, checks):
    written("aaaa000000000000", name="cut", status=Status.RUNNING)
    written("bbbb000000000000", name="unborn", status=Status.PREPARING, attempt=0)
    written("cccc000000000000", name="done")
    (results, healthy) = checks()
    assert healthy
    assert "runs" not in results
    assert results["run"]["state"] == "warning"
    assert results["run"]["advice"] == "`pulumi up` resumes it"


def test_every_run_that_is_not_well_has_a_line(written, cli):
    written("aaaa000000000000", name="cut", status=Status.RUNNING)
    written("bbbb000000000000", name="unborn", status=Status.PREPARING, attempt=0)
    (written("cccc000000000000").root / "run.json").write_text("{")
    lines = [line for line in cli("doctor").stdout.splitlines() if line.startswith("warning")]
    assert len(lines) == 3
    assert "cut (aaaa000000000000) was interrupted, its supervisor was killed while running" in lines[0]
    assert "unborn (bbbb000000000000) was interrupted, its submission was killed" in lines[1]
    assert "damaged" in lines[2]


def test_a_broken_environment_is_a_warning(workspace, checks):
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"])
    built = environment.build(spec, environment.lock(spec))
    assert checks()[0]["environments"]["found"] == "1 on this machine"
    built.python.unlink()
    results, healthy = checks()
    assert healthy
    assert results["environment"]["found"] == f"{built.digest[:12]}: its Python interpreter is gone"


def test_docker_is_asked_where_it_is_said_to_be(workspace, checks, monkeypatch, tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("DOCKER_HOST", address)
        assert checks()[0]["docker"] == {
            "name": "docker",
            "state": "ok",
            "found": f"DOCKER_HOST is set to {address}",
            "advice": "",
        }
    results, healthy = checks()
    assert (results["docker"]["state"], healthy) == ("warning", True)
    assert "nothing answers" in results["docker"]["found"]
    for address in (f"unix://{tmp_path}/docker.sock", "tcp://127.0.0.1:port", "docker", "tcp://"):
        monkeypatch.setenv("DOCKER_HOST", address)
        assert checks()[0]["docker"]["state"] == "warning", address


def test_docker_is_reached_over_a_unix_socket(workspace, checks, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("docker.sock")
        server.listen()
        monkeypatch.setenv("DOCKER_HOST", "unix://docker.sock".replace("//", "//" + str(tmp_path) + "/"))
        assert checks()[0]["docker"]["state"] == "ok"


def test_a_kubeconfig_that_is_not_there_is_a_warning(workspace, checks, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert checks()[0]["kubernetes"]["state"] == "warning"
    (tmp_path / "config").touch()
    assert checks()[0]["kubernetes"]["state"] == "ok"


def test_a_relative_cache_folder_is_broken(workspace, checks, monkeypatch):
    monkeypatch.setenv("TRAINSTACK_CACHE", "cache")
    results, healthy = checks()
    assert (results["cache"]["state"], healthy) == ("broken", False)
    assert "relative" in results["cache"]["found"]
