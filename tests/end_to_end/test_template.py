"""The template, through `pulumi new` and through `trainstack init`: the same project, which runs as it is."""

import json
import os
import subprocess
import sys
import urllib.request

import pytest
from tests.end_to_end.project import Project

pytestmark = pytest.mark.end_to_end


def init(folder, *options, expect=0):
    command = [sys.executable, "-m", "trainstack.cli", "init", str(folder), *options]
    # A backend of somebody's own: the stack is left to them.
    variables = {**os.environ, "PULUMI_BACKEND_URL": "file:///nowhere"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stderr
    return done


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "Pulumi.yaml"
    }


@pytest.fixture
def backend(tmp_path):
    (tmp_path / "state").mkdir()
    return {"PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}"}


def test_pulumi_new_and_trainstack_init_make_the_same_project(tmp_path, backend):
    init(tmp_path / "a" / "shop", "--description", "A shop's line")
    init(tmp_path / "template", "--template")
    (tmp_path / "b").mkdir()
    new = ("new", str(tmp_path / "template"), "--generate-only", "--yes", "--name", "shop")
    new += ("--description", "A shop's line")
    Project(tmp_path / "b", backend).pulumi(*new, "--dir", str(tmp_path / "b" / "shop"))
    assert contents(tmp_path / "a" / "shop") == contents(tmp_path / "b" / "shop")
    assert "name: shop" in (tmp_path / "b/shop/Pulumi.yaml").read_text()
    assert "template" not in (tmp_path / "a/shop/Pulumi.yaml").read_text()


def test_init_overwrites_nothing_and_checks_the_name(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "README.md").write_text("mine")
    assert "already exists" in init(tmp_path / "shop", expect=1).stderr
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["README.md"]
    assert "is not usable" in init(tmp_path / "a b", expect=1).stderr


@pytest.mark.tensorflow
@pytest.mark.long
def test_the_template_trains_serves_and_is_promoted(tmp_path, backend):
    init(tmp_path / "shop")
    project = Project(tmp_path / "shop", backend)
    for stack in ("dev", "prod"):
        project.pulumi("stack", "init", stack)
    project.pulumi("config", "set", "promote-from", "organization/shop/dev", "--stack", "prod")
    try:
        outputs = []
        for stack in ("dev", "prod"):
            project.pulumi("up", "--yes", "--skip-preview", "--stack", stack)
            text = project.pulumi("stack", "output", "--json", "--stack", stack).text
            outputs.append(json.loads(text[text.index("{") :]))
        dev, prod = outputs
        assert dev["metrics"]["loss"] < 1
        assert dev["model"]["digest"] == prod["model"]["digest"]
        body = json.dumps({"instances": [[0.5]]}).encode()
        with urllib.request.urlopen(urllib.request.Request(prod["scoring_uri"], body)) as answer:
            [[value]] = json.load(answer)["predictions"]
        assert 0 < value < 4
    finally:
        for stack in ("prod", "dev"):
            project.pulumi("destroy", "--yes", "--skip-preview", "--stack", stack, expect=None)
