"""Every Python example in the documentation runs: components under Pulumi's mocks, the core for real.

Those of docs/contributing are excerpts of modules, so they need only compile.
"""

import re
import textwrap
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from tests.end_to_end.project import REPOSITORY

from trainstack.core.workspace import config
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.kubernetes.objects import namespace

DOCS = REPOSITORY / "docs"
CONTRIBUTING = sorted((DOCS / "contributing").rglob("*.md"))


def examples(pages):
    for page in pages:
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL), 1):
            # A training script runs in an environment of its own: `test_tutorial` plays it.
            if "import tensorflow" not in block:
                yield pytest.param(textwrap.dedent(block), id=f"{page.relative_to(DOCS)}-{number}")


_CONTAINER = ("image", "command", "health", "digest", "cpu", "memory", "python", "revision")


class Answers(mocks.Mocks):
    def new_resource(self, args):
        if args.typ == "pulumi:pulumi:StackReference":
            model = {"name": "net", "version": 1, "digest": "d" * 64, "path": "/models/net/1/files"}
            return args.name, {**args.inputs, "outputs": {"model": model}, "secretOutputNames": []}
        return f"{args.name}-id", {
            **args.inputs,
            "version": 1,
            "digest": "d" * 64,
            "directory": "runs/r",
            "run_id": "r",
            **({"container": dict.fromkeys(_CONTAINER, "-")} if args.typ.endswith("Image") else {}),
            **({"files": {"points.csv": "0" * 64}} if args.typ.endswith(":Dataset") else {}),
        }

    def call(self, args):
        return {}, None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the examples take for granted: a project with code, data, requirements and a workspace."""
    (tmp_path / "Pulumi.yaml").write_text("name: docs\nruntime: python\n")
    for name in ("scripts/train.py", "data/points.csv", "runs/r/outputs/model/weights"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0,1\n")
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    (tmp_path / "conda.yml").write_text("name: old\ndependencies: [python=3.11, pip, {pip: [six==1.17.0]}]\n")
    config.write(tmp_path, Workspace.create(tmp_path / ".trainstack" / "mnist", "mnist"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(namespace, "look", lambda *_: namespace.ExistingNamespace())
    mocks.set_mocks(Answers(), project="docs", stack="test")
    return tmp_path


@pytest.mark.parametrize("block", list(examples(sorted(set(DOCS.rglob("*.md")) - set(CONTRIBUTING)))))
def test_the_example_runs(folder, block):
    import trainstack as ts

    @pulumi.runtime.test
    def run():
        names: dict[str, Any] = {"ts": ts, "pulumi": pulumi}
        if "ts." in block:
            names["workspace"] = ts.Workspace("given")
            names["cluster"] = ts.Compute("given", ts.ComputeArgs(workspace=names["workspace"]))
            names["tf"] = ts.Environment("given", ts.EnvironmentArgs(packages=["six==1.17.0"]))
        exec(compile(block, "example", "exec"), names)

    run()


@pytest.mark.parametrize("block", list(examples(CONTRIBUTING)))
def test_a_contributors_example_compiles(block):
    compile(block, "example", "exec")
