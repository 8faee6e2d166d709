"""What a script may rely on is the same in a pod as on this machine: its files, its imports, where it writes."""

import json
import os
from pathlib import Path

import pytest
from tests.core.kubernetes_runs import CLUSTER, needs_cluster, needs_kubectl
from tests.kubectl_objects import stand_in

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.timeout(600),
    needs_cluster,
    needs_kubectl,
]
PROGRAM = f"""
import pulumi
import trainstack as ts

workspace = ts.Workspace("tiny", ts.WorkspaceArgs(registry={os.environ.get("TRAINSTACK_REGISTRY", "")!r}))
cluster = ts.Compute("cluster", ts.ComputeArgs(
    workspace=workspace, target="kubernetes", vm_size="STANDARD_D1_V2",
    kubernetes=ts.KubernetesArgs(
        namespace={CLUSTER.namespace!r}, create_namespace=False, service_account="default",
    ),
))
run = ts.TrainingRun("tiny", ts.TrainingRunArgs(
    source_directory="my scripts", module="package.train", arguments=["--naïve", "ü 1"], compute=cluster,
    environment=ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"], compute=cluster)),
    environment_variables={{"PYTHONPATH": "vendored lib"}},
))
pulumi.export("path", run.path)
"""
SCRIPT = """
import json, pathlib, subprocess, sys
import carried
seen = {
    "name": __spec__.name, "argv": sys.argv[1:], "carried": carried.WORD,
    "tool": subprocess.run(["./prepare it.sh"], check=True, capture_output=True, text=True).stdout,
    "text": pathlib.Path("größe 1/ñ.txt").read_text(),
}
for path in ("outputs/modèle 1/größe.json", "saved/checkpoint 1.h5", "bést.h5"):
    pathlib.Path(path).parent.mkdir(exist_ok=True)
    pathlib.Path(path).write_text(json.dumps(seen))
"""


@pytest.fixture
def tiny(project):
    project.write("__main__.py", PROGRAM)
    for name, text in {
        "package/__init__.py": "",
        "package/train.py": SCRIPT,
        "vendored lib/carried.py": "WORD = 'carried'",
        "größe 1/ñ.txt": "naïve",
        "prepare it.sh": "#!/bin/sh\nprintf prepared",
    }.items():
        project.write(f"my scripts/{name}", text)
    (project.root / "programs" / "main" / "my scripts" / "prepare it.sh").chmod(0o755)
    project.variables |= stand_in.VARIABLES
    return project


def test_a_script_sees_and_leaves_in_a_pod_what_it_does_here(tiny):
    up = tiny.up()
    run = Path(tiny.outputs()["path"])
    assert json.loads((run / "outputs" / "modèle 1" / "größe.json").read_text()) == {
        "name": "package.train",
        "argv": ["--naïve", "ü 1"],
        "carried": "carried",
        "tool": "prepared",
        "text": "naïve",
    }
    assert "wrote bést.h5, saved/checkpoint 1.h5 in its working folder: only what is in ./outputs is kept" in up.text
    tiny.unchanged()
