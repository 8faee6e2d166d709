"""The MNIST program on the stack `docker`: trained in a container, served from another."""

import os
import shutil

import httpx
import pytest
from tests.core.engine_images import needs_engine
from tests.end_to_end.project import REPOSITORY, Project

from trainstack.core.services import service
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine import engine_api

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.tensorflow,
    needs_engine,
    pytest.mark.skipif("MNIST_BASE_URL" not in os.environ, reason="MNIST_BASE_URL names no folder with the files"),
]


def test_mnist_is_served_and_a_lost_container_is_replaced(tmp_path):
    for folder in ("stacks", ".pulumi-state", "programs"):
        (tmp_path / folder).mkdir()
    shutil.copy(REPOSITORY / "stacks" / "Pulumi.docker.yaml", tmp_path / "stacks")
    shutil.copy(REPOSITORY / "Pulumi.yaml", tmp_path)
    ignored = shutil.ignore_patterns(".trainstack", "data")
    shutil.copytree(REPOSITORY / "programs" / "mnist", tmp_path / "programs" / "mnist", ignore=ignored)
    project = Project(tmp_path)
    project.pulumi("stack", "init", "docker")
    instances = {"instances": [[0.0] * 784]}
    try:
        project.pulumi("config", "set", "epochs", "1")
        project.up()
        address = project.outputs()["scoring_uri"]
        assert httpx.post(address, json=instances, trust_env=False, timeout=10).status_code == 200
        project.unchanged()
        record = service.find(Workspace.open(tmp_path / ".trainstack" / "mnist"), "mnist")
        with engine_api.connected() as client:
            client.containers.get(record.container).remove(force=True)
        project.pulumi("refresh", "--yes", "--skip-preview")
        assert "drifted: service mnist has no container that runs" in project.up().text
        assert project.outputs()["scoring_uri"] == address
        assert httpx.post(address, json=instances, trust_env=False, timeout=10).status_code == 200
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview", expect=None)
