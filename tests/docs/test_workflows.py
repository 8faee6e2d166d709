"""The workflows are what their hosts take."""

import os
import shutil
import subprocess

import pytest
import yaml
from tests.end_to_end.project import REPOSITORY

from trainstack.cli.commands import Commands

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
GITLAB = REPOSITORY / "docs" / "ci" / "gitlab-ci.yml"


def test_actionlint_finds_nothing_in_the_workflows(tmp_path):
    here = shutil.which("actionlint")
    command = [here] if here else ["go", "run", ACTIONLINT]
    if not shutil.which(command[0]):
        pytest.skip("neither actionlint nor Go is on PATH")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    done = subprocess.run(
        [*command, "-no-color", *WORKFLOWS], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    if "module lookup disabled" in done.stderr or "dial tcp" in done.stderr:
        pytest.skip("actionlint can be had neither from PATH nor from the module proxy")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_workflow_gives_pull_requests_extra_rights():
    for path in WORKFLOWS:
        text = path.read_text()
        assert "\n  pull_request_target" not in text, path.name
        assert "permissions:" in text, path.name


def scripts(path):
    for job in yaml.safe_load(path.read_text()).values():
        if isinstance(job, dict):
            yield from job.get("script", []) + job.get("before_script", [])


def test_gitlabs_jobs_are_shell_that_parses():
    for script in scripts(GITLAB):
        done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}: {done.stderr}"


def test_every_command_of_ours_in_the_workflows_is_there():
    known = set(Commands())
    for path in [*WORKFLOWS, GITLAB]:
        for line in path.read_text().splitlines():
            code = line.split("#")[0]
            for after in code.split("trainstack ")[1:]:
                if code.strip().startswith(("-", "trainstack", "if", "run:")):
                    assert after.split()[0] in known, f"{path.name}: {line}"
