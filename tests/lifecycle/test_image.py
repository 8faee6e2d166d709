"""Environments as images, on a real engine and with a real registry."""

import os

import pytest
from tests.lifecycle.engine_images import needs_engine, unique_variables

from trainstack.lifecycle.environment import EnvironmentSpec, lock
from trainstack.lifecycle.image import CONTENT, Registry, ensure
from trainstack.targets.docker import engine

pytestmark = needs_engine


@pytest.fixture
def client():
    with engine.connected() as connected:
        before = {image.id for image in connected.images.list()}
        yield connected
        for image in connected.images.list(filters={"label": CONTENT}):
            if image.id not in before:
                connected.images.remove(image.id, force=True)


@pytest.fixture
def registry():
    address = os.environ["TRAINSTACK_BASE_IMAGE"].partition("/")[0]
    if not (address.startswith("localhost:") or ":" in address):
        pytest.skip("TRAINSTACK_BASE_IMAGE is not in a registry of one's own")
    return Registry(address=address)


def tiny(**given):
    return EnvironmentSpec.from_packages("tiny", ["six==1.17.0"], variables=given or unique_variables())


def said_in(client, image, code):
    words = [image.python, "-c", code]
    return client.containers.run(image.reference, words, remove=True, network_mode="none").decode().strip()


def test_packages_become_an_image_that_runs_them_as_no_root(client):
    spec = tiny()
    image = ensure(spec, lock(spec), client)
    assert image.reference.startswith("sha256:")
    said = said_in(client, image, "import os, six; print(os.getuid(), six.__version__, os.environ['TEST'])")
    assert said == f"1000 1.17.0 {spec.variables['TEST']}"


def test_an_image_that_is_there_is_found_and_not_built(client):
    spec = tiny()
    first = ensure(spec, lock(spec), client)
    told = []
    assert ensure(spec, lock(spec), client, progress=told.append) == first
    assert told == []


def test_a_registry_gives_the_image_to_a_machine_that_has_not_built_it(client, registry):
    spec = tiny()
    image = ensure(spec, lock(spec), client, registry)
    assert image.reference.startswith(f"{registry.address}/trainstack-environment@sha256:")
    client.images.remove(client.images.get(image.reference).id, force=True)
    told = []
    assert ensure(spec, lock(spec), client, registry, told.append) == image
    assert not any("building" in line for line in told)
    assert said_in(client, image, "import six; print(six.__version__)") == "1.17.0"


def test_what_was_built_without_a_registry_is_pushed_and_not_built_again(client, registry):
    spec = tiny()
    ensure(spec, lock(spec), client)
    told = []
    image = ensure(spec, lock(spec), client, registry, told.append)
    assert "@sha256:" in image.reference
    assert not any("building" in line for line in told)
