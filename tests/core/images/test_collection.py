"""Images that nobody has used for long are reclaimed, and none that somebody needs; on a real engine."""

import json
import os

import pytest
from tests.core.engine_images import needs_engine, unique_variables

from trainstack.core.environments.environment import EnvironmentSpec, lock
from trainstack.core.images.image import ensure
from trainstack.core.maintenance import unused_images
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine import engine_api

pytestmark = needs_engine
# So long ago that no image of anybody else's on the engine is as old.
DAYS = 14_000


@pytest.fixture
def client():
    with engine_api.connected() as connected:
        yield connected


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    workspace = Workspace.create(tmp_path / "workspace", "tiny")
    folder = workspace.root / "computes" / "cluster"
    folder.mkdir(parents=True)
    (folder / "compute.json").write_text(json.dumps({"name": "cluster", "target": "docker"}))
    return workspace


def built(client):
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"], variables=unique_variables())
    image = ensure(spec, lock(spec), client)
    return image.reference, client.images.get(image.reference).labels["trainstack.content"]


def long_ago(tmp_path, content):
    os.utime(tmp_path / "cache" / "images" / content, (0, 0))


def names(found):
    return {(one.kind, one.path.name) for one in found}


def there(client, content):
    return bool(client.images.list(filters={"label": f"trainstack.content={content}"}))


def test_unused_image_is_collected_with_its_log(client, workspace, tmp_path):
    _, old = built(client)
    _, young = built(client)
    long_ago(tmp_path, old)
    listed = names(unused_images.find(workspace, DAYS))
    assert {("image", old), ("build", old)} <= listed
    assert ("image", young) not in listed
    assert there(client, old)
    assert {("image", old), ("build", old)} <= names(unused_images.collect(workspace, DAYS))
    assert not there(client, old)
    assert there(client, young)
    assert not (tmp_path / "cache" / "images" / old).exists()
    long_ago(tmp_path, young)
    unused_images.collect(workspace, DAYS)


def test_an_image_that_a_container_has_stays(client, workspace, tmp_path):
    reference, content = built(client)
    long_ago(tmp_path, content)
    container = client.containers.create(reference, ["true"])
    try:
        assert ("image", content) not in names(unused_images.collect(workspace, DAYS))
        assert there(client, content)
    finally:
        container.remove()
    (tmp_path / "cache" / "images" / content).mkdir(exist_ok=True)
    long_ago(tmp_path, content)
    assert ("image", content) in names(unused_images.collect(workspace, DAYS))


def test_silent_engine_is_reported_and_skipped(workspace, tmp_path):
    (workspace.root / "computes" / "cluster" / "compute.json").write_text(
        json.dumps({"name": "cluster", "target": "docker", "docker_host": f"unix://{tmp_path}/none.sock"})
    )
    told = []
    assert unused_images.find(workspace, DAYS, told.append) == []
    assert len(told) == 1
    assert "no Docker engine answers" in told[0]
