"""What declared objects are called."""

import pytest

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.labels import declared


def test_a_name_that_a_cluster_cannot_have_is_refused():
    assert declared("web service", "Mnist_v2", "shop", "prod") == "mnist-v2-shop-prod"
    with pytest.raises(InvalidInputError, match=r"web service .* longer than the 52 characters"):
        declared("web service", "a" * 40, "project", "production")
    with pytest.raises(InvalidInputError, match="begins with a letter"):
        declared("compute", "4711", "shop", "prod")
