"""A registry that asks for a password, through a real engine and in front of a real registry."""

import contextlib
import os

import pytest
from docker.errors import NotFound
from tests.core.engine_images import needs_engine, unique_variables
from tests.core.images.guarded_registry import guarded

from trainstack.core.environments.environment import EnvironmentSpec, lock
from trainstack.core.images.image import CONTENT, Registry, ensure
from trainstack.docker_engine import engine_api
from trainstack.errors import TrainstackError

pytestmark = needs_engine


@pytest.fixture
def client():
    with engine_api.connected() as connected:
        before = set(connected.api.images(quiet=True))
        yield connected
        for image in set(connected.api.images(quiet=True, filters={"label": CONTENT})) - before:
            # Tests beside this one remove theirs.
            with contextlib.suppress(NotFound):
                connected.images.remove(image, force=True)


@pytest.fixture
def address():
    registry = os.environ["TRAINSTACK_BASE_IMAGE"].partition("/")[0]
    if not registry.startswith("localhost:"):
        pytest.skip("TRAINSTACK_BASE_IMAGE is not in a registry of one's own")
    with guarded(registry, "team", "open-sesame-4711") as door:
        yield door


def test_a_registry_with_a_password_takes_and_gives_images(client, address):
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"], variables=unique_variables())
    registry = Registry.model_validate({"address": address, "username": "team", "password": "open-sesame-4711"})
    image = ensure(spec, lock(spec), client, registry)
    assert image.reference.startswith(f"{address}/trainstack-environment@sha256:")
    client.images.remove(client.images.get(image.reference).id, force=True)
    told = []
    assert ensure(spec, lock(spec), client, registry, told.append) == image
    assert not any("building" in line for line in told)


@pytest.mark.parametrize("login", [{}, {"username": "team", "password": "wrong"}])
def test_wrong_registry_password_is_one_line(client, address, login):
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"], variables=unique_variables())
    with pytest.raises(TrainstackError, match="give the workspace's registry a username and a password") as caught:
        ensure(spec, lock(spec), client, Registry.model_validate({"address": address, **login}))
    assert "\n" not in str(caught.value)
    assert "wrong" not in str(caught.value)
