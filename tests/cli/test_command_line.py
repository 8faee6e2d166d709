"""The `trainstack` program: its entry point, its errors, its workspace, its speed of starting."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from trainstack.cli.runs import runs
from trainstack.core.workspace import config
from trainstack.core.workspace.workspace import Workspace

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
GROUPS = ("runs", "datasets", "models", "environments", "services", "computes")
COMMANDS = [
    ("runs", "list"), ("runs", "show"), ("runs", "logs"), ("runs", "stop"), ("runs", "download"),
    ("runs", "simulate-preemption"), ("datasets", "list"), ("models", "list"), ("environments", "list"),
    ("environments", "show"), ("services", "list"), ("computes", "list"), ("doctor",),
]  # fmt: skip


def test_the_program_that_is_installed_is_this_one(program, workspace):
    entry = tomllib.loads(PROJECT.read_text())["project"]["scripts"]["trainstack"]
    module, _, function = entry.partition(":")
    code = f"import sys; from {module} import {function}; sys.exit({function}())"
    _, variables = program
    ran = subprocess.run(
        [sys.executable, "-c", code, "runs", "list", "--json"], env=variables, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n", "")


def test_it_runs_as_a_module(program, workspace):
    command, variables = program
    ran = subprocess.run([*command, "models", "list"], env=variables, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (
        0,
        "workspace tests has no models yet: `pulumi up` registers them\n",
        "",
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_json(cli, words):
    result = cli(*words, "--help")
    assert result.exit_code == 0
    assert f"Usage: trainstack {' '.join(words)}" in result.stdout
    assert "--json" in result.stdout


@pytest.mark.parametrize("words", [(), *((group,) for group in GROUPS)], ids=lambda words: " ".join(words) or "bare")
def test_without_a_command_there_is_help(cli, words):
    result = cli(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(" ".join(["Usage: trainstack", *words]))


@pytest.mark.parametrize(
    "words", [("--nonsense",), ("runs", "lst"), ("runs", "list", "--limit", "none"), ("runs", "show")], ids=" ".join
)
def test_wrong_use_is_one_line_and_code_2(cli, words):
    plain, in_json = cli(*words), cli(*words, "--json")
    assert (plain.exit_code, plain.stdout) == (2, "")
    assert plain.stderr.startswith("error: ")
    assert "--help`)" in plain.stderr
    assert len(plain.stderr.splitlines()) == 1
    assert (in_json.exit_code, in_json.stdout) == (2, "")
    assert set(json.loads(in_json.stderr)) == {"error"}


def test_an_error_is_json_when_json_is_asked_for(workspace, cli):
    result = cli("runs", "show", "zz", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert json.loads(result.stderr) == {"error": "no run 'zz' in workspace tests: see `trainstack runs list`"}


def test_the_workspace_is_found_from_a_folder_of_the_project(cli, tmp_path, monkeypatch):
    monkeypatch.delenv("TRAINSTACK_WORKSPACE", raising=False)
    project = tmp_path / "project"
    config.write(project, Workspace.create(project / ".trainstack" / "here", "here"))
    below = project / "programs" / "mnist"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert "workspace here has no runs" in cli("runs", "list").stdout


def test_an_option_names_another_workspace_than_the_variable(workspace, cli, tmp_path):
    Workspace.create(tmp_path / "other", "other")
    assert "workspace tests " in cli("runs", "list").stdout
    assert "workspace other " in cli("runs", "list", "--workspace", str(tmp_path / "other")).stdout


def test_no_workspace_is_one_line_that_says_what_to_do(cli, tmp_path, monkeypatch):
    monkeypatch.delenv("TRAINSTACK_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    nowhere, named = cli("runs", "list"), cli("runs", "list", "--workspace", str(tmp_path / "none"))
    assert nowhere.exit_code == named.exit_code == 1
    assert nowhere.stderr.startswith(f"error: no workspace in {tmp_path} or a parent: change to the project's folder")
    assert named.stderr.startswith(f"error: no workspace at {tmp_path}/none: run `pulumi up`")


def test_a_damaged_workspace_is_one_line(workspace, cli):
    for content in ("{", "[]", '{"name": "x"}'):
        (workspace.root / "workspace.json").write_text(content)
        result = cli("runs", "list")
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert "workspace.json" in result.stderr


def test_shells_can_complete_its_commands(program):
    command, variables = program
    asked = {"_TRAINSTACK_COMPLETE": "complete_bash", "COMP_WORDS": "trainstack runs ", "COMP_CWORD": "2"}
    ran = subprocess.run(command, env={**variables, **asked}, capture_output=True, text=True)
    offered = ran.stdout.split()
    assert {"list", "show", "logs", "stop", "download"} <= set(offered)
    assert len(offered) == len(runs.app.registered_commands)


def test_a_reader_that_has_enough_is_no_error(program, written):
    directory = written("aaaa000000000000")
    directory.logs.mkdir()
    directory.merged_log.write_bytes(b"line\n" * 200_000)
    command, variables = program
    process = subprocess.Popen(
        [*command, "runs", "logs", "aaaa"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 1


def test_help_waits_for_none_of_the_slow_imports(program):
    code = (
        "import sys; from trainstack.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print(sorted({'pydantic', 'rich', 'httpx', 'pulumi', 'markdown_it'} & set(sys.modules)))"
    )
    _, variables = program
    ran = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_listing_runs_imports_neither_pulumi_nor_an_http_client(program, written):
    written("aaaa000000000000")
    code = (
        "import sys; from trainstack.cli.app import app\n"
        "try: app(['runs', 'list'])\n"
        "except SystemExit: print(sorted({'httpx', 'pulumi', 'tensorflow', 'mlflow'} & set(sys.modules)))"
    )
    _, variables = program
    ran = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert "aaaa000000000000" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[]"
