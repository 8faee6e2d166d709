"""What of a distribution cannot work is known before anything starts."""

import pytest

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.runs.distribution import checked, parse
from trainstack.errors import InvalidInputError

HOROVOD = {"packages": {"horovod": "0.28.1", "tensorflow-cpu": "2.15.1"}, "variables": {}}
TWO = ComputeSpec(name="c", max_nodes=2)


def test_defaults_are_left_out_of_the_one_form():
    described = {"kind": "horovod", "node_count": 2, "processes_per_node": 1, "autotune": False, "cycle_time_ms": None}
    assert checked(described, HOROVOD, TWO) == {"kind": "horovod", "node_count": 2}


def test_an_option_that_is_tuned_stays():
    described = {"kind": "horovod", "node_count": 1, "fusion_threshold_mb": 32}
    assert checked(described, HOROVOD, TWO)["fusion_threshold_mb"] == 32


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"kind": "ring"}, "kind 'ring'"),
        ({"kind": "horovod", "fusion": 1}, "unknown key 'fusion'"),
        ({"kind": "horovod", "node_count": 0}, "node_count"),
        ({"kind": "horovod", "processes_per_node": "two"}, "processes_per_node"),
    ],
)
def test_what_no_distribution_says_is_refused(described, words):
    with pytest.raises(InvalidInputError, match=words):
        parse(described)


def test_more_nodes_than_the_compute_has_are_refused():
    with pytest.raises(InvalidInputError, match=r"3 nodes .* 'c' has \(2\)"):
        checked({"kind": "horovod", "node_count": 3}, HOROVOD, TWO)


def test_parameter_servers_may_share_the_nodes_of_the_workers():
    described = {"kind": "tensorflow", "workers": 2, "parameter_servers": 1}
    with pytest.raises(InvalidInputError, match=r"3 nodes .* node_count=2"):
        checked({**described, "node_count": 3}, HOROVOD, TWO)
    assert checked({**described, "node_count": 2}, HOROVOD, TWO) == {**described, "node_count": 2}


def test_more_ranks_than_cpus_are_refused():
    with pytest.raises(InvalidInputError, match="ranks a node"):
        checked({"kind": "horovod", "processes_per_node": 4096}, HOROVOD, ComputeSpec(name="c"))


def test_horovod_missing_from_the_environment_is_refused():
    environment = {"packages": {"tensorflow-cpu": "2.15.1"}}
    with pytest.raises(InvalidInputError, match="Horovod is not in the environment"):
        checked({"kind": "horovod", "node_count": 1}, environment, TWO)


@pytest.mark.parametrize("kind", [{"kind": "tensorflow", "workers": 2, "node_count": 2}, {"kind": "horovod"}])
def test_keras_3_with_a_strategy_is_refused(kind):
    environment = {"packages": {"horovod": "0.28.1", "tensorflow-cpu": "2.21.0"}, "variables": {}}
    with pytest.raises(InvalidInputError, match="Keras 3"):
        checked(kind, environment, TWO)


def test_legacy_keras_makes_a_strategy_work_on_a_new_tensorflow():
    environment = {
        "packages": {"tensorflow-cpu": "2.21.0", "tf-keras": "2.21.0"},
        "variables": {"TF_USE_LEGACY_KERAS": "1"},
    }
    assert checked({"kind": "tensorflow", "workers": 2, "node_count": 2}, environment, TWO)["workers"] == 2


def test_a_single_process_needs_nothing():
    assert checked({"kind": "single"}, {"packages": {}}, TWO) == {"kind": "single", "node_count": 1}
