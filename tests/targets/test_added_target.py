"""`docs/contributing/add-a-target.md`, followed: a target in a folder of its own, registered by an entry point."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.sample_runs import SCRIPT, request, tiny_environment

from trainstack.core.compute.compute import ComputeSpec, fields_of
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.targets import registry

PLUGIN = """
from trainstack.targets.config import TargetConfig
from trainstack.targets.local.target import LocalTarget
from trainstack.targets.plugin import Capabilities, TargetPlugin


class BoxConfig(TargetConfig):
    greeting: str = "hello"


class BoxTarget(LocalTarget):
    def __init__(self, greeting):
        self._greeting = greeting

    def start(self, ref, group):
        (ref.root / "logs").mkdir(exist_ok=True)
        (ref.root / "logs" / "greeting.txt").write_text(self._greeting)
        return super().start(ref, group)


class BoxPlugin(TargetPlugin):
    name = "box"
    capabilities = Capabilities(same_machine=True)
    config = "box_target:BoxConfig"
    service_runner = "trainstack.core.services.runners.process:ProcessRunner"

    def open(self, spec):
        return BoxTarget(spec.config.greeting)
"""
ENTRY_POINTS = """[trainstack.targets]
box = box_target:BoxPlugin
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package with the target, installed beside ours for this process and those that it starts."""
    folder = tmp_path / "site"
    info = folder / "box_target-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "box_target.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: box-target\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    monkeypatch.setattr(registry, "_PLUGINS", {})
    return folder


def test_a_training_runs_on_an_added_target(box: Path, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    compute = ComputeSpec.model_validate(fields_of({"name": "c", "target": "box", "box": {"greeting": "good day"}}))
    workspace = Workspace.create(tmp_path / "workspace", "added")
    training = request(tiny_environment(), source, {"--steps": 2}, compute=compute)
    run = submission.submit(workspace, training, source, {}).directory
    assert submission.follow(run).status is Status.COMPLETED
    assert (run.root / "outputs" / "model" / "weights").read_text() == "2"
    assert (run.root / "logs" / "greeting.txt").read_text() == "good day"


def test_an_added_target_tells_what_it_can_do(box: Path):
    assert registry.capabilities("box").same_machine
    assert registry.plugin("box").serves


def test_options_of_an_added_target_are_checked(box: Path):
    with pytest.raises(InvalidInputError, match=r"compute: box\.color: Extra inputs are not permitted"):
        ComputeSpec.model_validate(fields_of({"name": "c", "target": "box", "box": {"color": "red"}}))
    with pytest.raises(InvalidInputError, match="box is for target 'box', not 'local'"):
        fields_of({"name": "c", "box": {"greeting": "hi"}})


def test_a_target_of_no_package_is_refused():
    with pytest.raises(ValueError, match="is none of local, docker, kubernetes"):
        ComputeSpec(name="c", target="slurm")


def test_naming_targets_loads_no_client():
    program = (
        "import sys; from trainstack.targets import registry; "
        "[registry.capabilities(name) for name in registry.names()]; "
        "print([name for name in ('docker', 'kubernetes') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_code_outside_compares_a_target_name():
    package = Path(registry.__file__).parent.parent
    inside = (
        package / "targets",
        package / "components" / "kubernetes",
        package / "provider" / "kubernetes",
        package / "docker_engine",
    )
    compared = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        if "templates" not in path.parts and not any(path.is_relative_to(folder) for folder in inside)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and constant.value in ("local", "docker", "kubernetes")
    ]
    assert compared == []
