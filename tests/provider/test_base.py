"""What all providers share: checked inputs, unknown values, errors of one line."""

import pytest
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.compute.compute import ComputeSpec
from trainstack.errors import InvalidInputError
from trainstack.provider.base import BaseProvider, finite, integral, known, own, validated


class Picky(BaseProvider):
    def accept(self, news):
        if news["size"] > 1:
            raise InvalidInputError("size 2 is too large: take 1")
        return {**news, "seen": True}


def test_check_completes_inputs_and_keeps_the_provider_out():
    result = Picky().check({}, {"size": 1, "__provider": "pickled"})
    assert result.inputs == {"size": 1, "seen": True}
    assert result.failures == []


def test_check_fails_with_the_reason_alone():
    [failure] = Picky().check({}, {"size": 2}).failures
    assert failure.reason == "size 2 is too large: take 1"
    assert failure.property == ""


def test_delete_keeps_everything(tmp_path):
    (tmp_path / "kept").write_text("x")
    Picky().delete("id", {"workspace": str(tmp_path)})
    assert (tmp_path / "kept").exists()


def test_unknown_values_become_the_marker():
    assert own({"a": [Unknown()], "b": {"c": Unknown()}, "__provider": "p"}) == {"a": [UNKNOWN], "b": {"c": UNKNOWN}}


@pytest.mark.parametrize("value", [UNKNOWN, [1, UNKNOWN], {"a": {"b": UNKNOWN}}])
def test_unknown_anywhere_is_unknown(value):
    assert not known(value)


def test_numbers_from_pulumi_are_whole_again():
    assert integral({"a": 2.0, "b": [1.5, 3.0], "c": "2.0"}) == {"a": 2, "b": [1.5, 3], "c": "2.0"}


def test_a_wrong_type_names_field_and_value():
    with pytest.raises(InvalidInputError, match=r"compute: max_nodes: .*'two'"):
        validated(ComputeSpec, {"name": "c", "max_nodes": "two"}, "compute")


def test_what_preview_does_not_know_is_not_wrong():
    assert validated(ComputeSpec, {"name": "c", "max_nodes": UNKNOWN}, "compute") is None


def test_what_is_wrong_is_told_beside_what_is_unknown():
    with pytest.raises(InvalidInputError, match="priority"):
        validated(ComputeSpec, {"name": "c", "max_nodes": UNKNOWN, "priority": "urgent"}, "compute")


def test_state_holds_no_number_that_json_lacks():
    assert finite({"a": float("nan"), "b": float("inf"), "c": 1.0}) == {"c": 1.0}
