"""Arguments as people write them, as a fingerprint sees them, and as a process gets them."""

import pytest

from trainstack.core.runs.arguments import argv, canonical
from trainstack.errors import InvalidInputError


def test_order_of_named_arguments_does_not_matter():
    assert list(canonical({"--b": 1, "--a": 2})) == list(canonical({"--a": 2, "--b": 1})) == ["--a", "--b"]


def test_equal_numbers_look_equal():
    assert canonical({"--n": 1.0}) == canonical({"--n": 1}) == {"--n": "1"}


def test_a_text_stays_the_text_that_it_is():
    assert canonical({"--version": "1.0"}) == {"--version": "1.0"}


@pytest.mark.parametrize(("value", "text"), [(0.01, "0.01"), (1e-7, "1e-07"), (64, "64"), (-3.0, "-3"), (2.5, "2.5")])
def test_numbers_are_written_as_python_reads_them_back(value, text):
    assert canonical({"--x": value}) == {"--x": text}
    assert float(text) == value


def test_true_is_a_flag_and_false_or_none_leaves_it_out():
    assert argv(canonical({"--augment": True, "--quiet": False, "--seed": None}), {}) == ["--augment"]


def test_a_list_gives_one_flag_several_values():
    assert argv(canonical({"--layers": [256, 128.0, "x y"]}), {}) == ["--layers", "256", "128", "x y"]


def test_a_list_of_arguments_keeps_its_order():
    assert argv(canonical(["train", "--lr", 0.1]), {}) == ["train", "--lr", "0.1"]


def test_a_dataset_becomes_the_folder_that_the_run_sees():
    assert argv(canonical({"--data": "${dataset:mnist}/train"}), {"mnist": "/d"}) == ["--data", "/d/train"]


@pytest.mark.parametrize("name", ["--batch-size 64", "--batch size", "--lr=0.1", "", 7])
def test_a_name_with_a_space_is_refused_in_one_line(name):
    with pytest.raises(InvalidInputError) as caught:
        canonical({name: 1})
    assert "\n" not in str(caught.value)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("value", [{"a": 1}, object(), [[1]]])
def test_a_value_that_no_command_line_carries_is_refused(value):
    with pytest.raises(InvalidInputError, match="--x"):
        canonical({"--x": value})


@pytest.mark.parametrize("arguments", ["--lr 0.1", 7])
def test_arguments_must_be_a_mapping_or_a_list(arguments):
    with pytest.raises(InvalidInputError, match="mapping or a list"):
        canonical(arguments)
