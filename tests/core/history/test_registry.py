"""Registered models as MLflow's registry and its `pyfunc` have them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.core.history.conftest import values
from tests.waiting import until

from trainstack.core.maintenance import purge
from trainstack.core.models import aliases, model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs.execution import submission
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.queue import is_pending
from trainstack.provider.model import ModelProvider
from trainstack.server.runtime.declared import signatures

LOAD = """
import json, sys
import mlflow, numpy
found = mlflow.pyfunc.load_model(sys.argv[1])
name, shape = json.loads(sys.argv[2])
answer = found.predict({name: numpy.ones(shape, "float32")})
print(json.dumps({"signature": str(found.metadata.signature), "outputs": sorted(answer)}))
"""

REGISTERS = """
from mlflow.tracking import MlflowClient
MlflowClient().create_registered_model("shared")
MlflowClient().create_model_version("shared", "s3://bucket/model")
"""


def version(server, number, name="net") -> dict[str, Any]:
    answer = server.get_or_none("model-versions/get", name=name, version=str(number))
    return answer["model_version"] if answer else {}


def test_versions_aliases_and_lineage_are_in_the_registry(workspace, server, request_for, source, shown):
    for steps in (1, 2, 3):
        done = submission.submit(workspace, request_for({"--steps": steps}), source, {})
        submission.follow(done.directory)
        spec = ModelSpec(name="net", tags={"steps": str(steps)}, sample_input={"instances": [[1.0]]})
        model.register(workspace, spec, Path("outputs/pid"), done.directory.id)
    run = done.directory
    aliases.move(workspace, "net", {"production": 1})
    until(lambda: version(server, 3))
    # The mirror tells the server of a run's end a moment after the end: a version may be there before.
    [there] = shown(
        "trainstack.run_id", run.id, lambda found: values(found, "tags")["trainstack.status"] == "completed"
    )
    assert version(server, 3)["run_id"] == there["info"]["run_id"]
    assert {tag["key"]: tag["value"] for tag in version(server, 3)["tags"]}["steps"] == "3"
    until(lambda: version(server, 1).get("aliases") == ["production"])
    aliases.move(workspace, "net", {"production": 3})
    until(lambda: version(server, 3).get("aliases") == ["production"] and not version(server, 1).get("aliases"))
    purge.purge(workspace, purge.models(workspace, "net", 2))
    until(lambda: not version(server, 2))


def test_a_refresh_finds_an_alias_that_somebody_moved_on_the_page(workspace, server, tmp_path):
    for number in (1, 2):
        (tmp_path / "weights").write_text(str(number))
        model.register(workspace, ModelSpec(name="moved"), tmp_path / "weights")
    aliases.move(workspace, "moved", {"production": 2})
    properties = {"workspace": str(workspace.root), "name": "moved", "version": 2, "alias": {"production": "latest"}}
    refresh = ModelProvider().refresh
    until(lambda: version(server, 2, "moved").get("aliases") == ["production"])
    until(lambda: not is_pending(workspace, "model@moved"))
    assert refresh(properties)["drift"] == []
    server.post("registered-models/alias", name="moved", alias="production", version="1")
    assert refresh(properties)["drift"] == ["alias production is version 1 on the tracking server, not version 2"]
    server.call("DELETE", "registered-models/alias", name="moved", alias="production")
    assert refresh(properties)["drift"] == ["alias production is gone on the tracking server, not version 2"]
    # What an update does.
    aliases.move(workspace, "moved", {"production": 2}, {"production": 2})
    until(lambda: version(server, 2, "moved").get("aliases") == ["production"])
    until(lambda: not is_pending(workspace, "model@moved"))
    assert refresh(properties)["drift"] == []


def test_a_model_of_the_workspace_has_its_name_alone(workspace, server, request_for, source, tmp_path):
    (source / "train.py").write_text(REGISTERS)
    for seed in (1, 2):
        submission.follow(submission.submit(workspace, request_for({"--seed": seed}), source, {}).directory)
    until(lambda: version(server, 2, "shared"))
    (tmp_path / "weights").write_text("ours")
    model.register(workspace, ModelSpec(name="shared", description="ours"), tmp_path / "weights")
    until(lambda: version(server, 1, "shared").get("description") == "ours")
    assert not version(server, 2, "shared")
    until(lambda: version(server, 2, "shared (scripts)").get("tags"))
    submission.follow(submission.submit(workspace, request_for({"--seed": 3}), source, {}).directory)
    until(lambda: version(server, 3, "shared (scripts)"))
    assert not version(server, 2, "shared")


@pytest.mark.tensorflow
def test_pyfunc_loads_a_model_by_its_alias(workspace, server, dense, serving_python, tmp_path):
    declared = signatures(dense)["serving_default"]
    [(name, tensor)] = declared.inputs.items()
    model.register(workspace, ModelSpec(name="dense"), dense)
    aliases.move(workspace, "dense", {"production": 1})
    until(lambda: version(server, 1, "dense").get("aliases") == ["production"])
    python = tensorflow_with_mlflow()
    shape = [2 if size == -1 else size for size in tensor.shape or (2,)]
    done = subprocess.run(
        [python, "-c", LOAD, "models:/dense@production", json.dumps([name, shape])],
        env={**os.environ, **tracking_server.client_variables(workspace), "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert name in said["signature"]
    assert said["outputs"] == sorted(declared.outputs)


def tensorflow_with_mlflow() -> Path:
    """A notebook's environment: TensorFlow and MLflow's client."""
    from trainstack.core.environments import environment

    spec = environment.get_curated("tensorflow-2.15")
    return environment.build(spec, environment.lock(spec)).python
