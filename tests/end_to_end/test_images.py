"""Environments as images through the real engine of Pulumi, a real Docker engine and a real registry."""

import json
import os
import uuid
from pathlib import Path

import pytest
from tests.core.engine_images import needs_engine

pytestmark = [pytest.mark.end_to_end, needs_engine]

PROGRAM = """
import pulumi
import trainstack as ts

workspace = ts.Workspace("tiny", ts.WorkspaceArgs(registry=REGISTRY))
cluster = ts.Compute("place", ts.ComputeArgs(workspace=workspace, target="TARGET", max_nodes=1))
packages = ts.Environment("packages", ts.EnvironmentArgs(packages=["six==1.17.0"], compute=cluster))
pulumi.export("image", packages.image)
own = ts.Environment("own", ts.EnvironmentArgs(context="image", compute=cluster))
run = ts.TrainingRun("mark", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster, environment=own))
pulumi.export("path", run.path)
pulumi.export("own", own.image)
"""
SCRIPT = "import pathlib\npathlib.Path('outputs/mark').write_text(pathlib.Path('/mark').read_text())\n"
PASSWORD = "hunter2-of-the-registry"


@pytest.fixture
def write(project):
    mark = uuid.uuid4().hex
    base = os.environ["TRAINSTACK_BASE_IMAGE"]
    project.write("scripts/train.py", SCRIPT)
    project.write("image/Dockerfile", f"FROM {base}\nCOPY mark /mark\n")
    project.write("image/mark", mark)

    def program(target="docker", registry=""):
        text = PROGRAM.replace("TARGET", target).replace("REGISTRY", registry or repr(base.partition("/")[0]))
        project.write("__main__.py", text)
        return mark

    return program


def test_run_in_dockerfile_and_preview_of_changed_context(project, write):
    mark = write()
    project.up()
    outputs = project.outputs()
    assert "/trainstack-environment@sha256:" in outputs["image"]
    assert "/trainstack-environment@sha256:" in outputs["own"]
    assert Path(outputs["path"], "outputs", "mark").read_text() == mark
    project.unchanged()
    project.write("image/mark", "another")
    said = project.preview().text
    assert "will retrain: mark of the image changed" in said


def test_dockerfile_on_local_target_is_refused_in_preview(project, write):
    write(target="local")
    said = project.preview(expect=None)
    line = (
        "environment own is a Dockerfile, and target 'local' starts no containers: give it packages, or take a compute"
    )
    assert any(line in one for one in said.lines("environment own is"))
    assert "Traceback" not in said.text


def test_a_failed_build_is_one_line_with_its_log(project, write):
    write()
    project.write(
        "image/Dockerfile", f"FROM {os.environ['TRAINSTACK_BASE_IMAGE']}\nCOPY mark /mark\nRUN no-such-tool\n"
    )
    said = project.up(expect=None)
    assert said.lines("environment own: line 3 of its Dockerfile failed (RUN no-such-tool) with exit code 127")
    assert said.lines("build.log)")
    assert "Traceback" not in said.text


def test_a_registrys_password_is_in_clear_nowhere(project, write):
    address = os.environ["TRAINSTACK_BASE_IMAGE"].partition("/")[0]
    write(registry=f'ts.Registry(address="{address}", username="me", password="{PASSWORD}")')
    said = project.up()
    assert PASSWORD not in said.text
    state = project.pulumi("stack", "export").text
    assert PASSWORD not in state
    assert json.loads(state[state.index("{") :])["deployment"]["resources"]
    # The program has it, and what Python compiles of it.
    kept = [path for path in project.root.rglob("*") if path.is_file() and not path.name.startswith("__main__.")]
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]
