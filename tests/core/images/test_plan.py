"""What is to be built into an image, told without an engine."""

import pytest

from trainstack.core.environments.environment import get_curated, lock
from trainstack.core.images.build_plan import build_plan
from trainstack.errors import TrainstackError


def test_content_covers_the_system_not_the_name():
    spec = get_curated("tensorflow-2.15")
    locked = lock(spec)
    content = build_plan(spec, locked, "linux/amd64").content
    other = spec.model_copy(update={"name": "other"})
    assert build_plan(other, locked, "linux/amd64").content == content
    assert build_plan(spec, locked, "linux/arm64").content != content


def test_horovod_without_buildkit_is_refused_before_building():
    spec = get_curated("tensorflow-2.15-horovod")
    wanted = build_plan(spec, lock(spec), "linux/amd64")
    assert wanted.plain is not None
    with pytest.raises(TrainstackError, match=r"Horovod needs Docker with BuildKit, .* install its buildx plugin"):
        wanted.plain()
