"""Spaces: what applies when, grids, and which old trials a changed space holds."""

import pytest
from pydantic import ValidationError

from trainstack.core.sweeps.space import Parameter, Space
from trainstack.errors import InvalidInputError

RATE = Parameter(kind="log_uniform", low=1e-4, high=1e-1)
OPTIMIZER = Parameter(kind="choice", values=("sgd", "adam"))
MOMENTUM = Parameter(kind="choice", values=(0.5, 0.9), when={"--optimizer": ("sgd",)})


def test_a_grid_leaves_out_what_does_not_apply():
    space = Space(parameters={"--momentum": MOMENTUM, "--optimizer": OPTIMIZER})
    assert list(space.grid()) == [
        {"--optimizer": "sgd", "--momentum": 0.5},
        {"--optimizer": "sgd", "--momentum": 0.9},
        {"--optimizer": "adam"},
    ]


def test_a_grid_of_steps_holds_both_ends():
    assert tuple(Parameter(kind="uniform", low=0.1, high=0.3, step=0.1).grid()) == pytest.approx((0.1, 0.2, 0.3))
    assert tuple(Parameter(kind="integer", low=1, high=4).grid()) == (1, 2, 3, 4)


def test_a_wide_space_is_counted_no_further_than_asked():
    wide = Parameter(kind="integer", low=1, high=10**12)
    beside = Parameter(kind="integer", low=1, high=10**12, when={"--optimizer": ("adam",)})
    space = Space(parameters={"--optimizer": OPTIMIZER, "--wide": beside, "--units": wide})
    assert space.count(20) == 20
    assert Space(parameters={"--momentum": MOMENTUM, "--optimizer": OPTIMIZER}).count(20) == 3
    assert Space(parameters={"--rate": RATE}).count(20) == 20


def test_what_a_sampler_chooses_is_left_out_of_combinations():
    free = RATE.model_copy(update={"when": {"--optimizer": ("adam",)}})
    space = Space(parameters={"--optimizer": OPTIMIZER, "--rate": free})
    combinations = list(space.combinations())
    assert combinations == [{"--optimizer": "sgd"}, {"--optimizer": "adam"}]
    assert [space.is_endless(chosen) for chosen in combinations] == [False, True]


def test_a_grid_without_end_is_refused():
    with pytest.raises(InvalidInputError, match="--rate has no end of values"):
        next(Space(parameters={"--rate": RATE}).grid())


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ({"--rate": "0.01", "--units": "64"}, {"--rate": 0.01, "--units": 64}),
        ({"--rate": "0.5", "--units": "64"}, None),
        ({"--rate": "0.01", "--units": "65"}, None),
        ({"--rate": "0.01"}, None),
        ({"--rate": "0.01", "--units": "64", "--more": "1"}, None),
        ({"--rate": "fast", "--units": "64"}, None),
    ],
)
def test_what_was_chosen_is_found_again_in_another_space(arguments, chosen):
    space = Space(parameters={"--rate": RATE, "--units": Parameter(kind="integer", low=32, high=128, step=32)})
    assert space.parsed(arguments) == chosen


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "choice"}, "needs values"),
        ({"kind": "choice", "values": (1, 1.0)}, "twice"),
        ({"kind": "uniform", "low": 2, "high": 1}, "low not above high"),
        ({"kind": "log_uniform", "low": 0, "high": 1}, "over 0"),
        ({"kind": "integer", "low": 0.5, "high": 1}, "whole"),
        ({"kind": "uniform", "low": 0, "high": 1, "step": 0}, "step"),
    ],
)
def test_a_wrong_parameter_is_refused(given, words):
    with pytest.raises(ValidationError, match=words):
        Parameter(**given)


def test_a_parameter_that_depends_on_nothing_there_is_refused():
    with pytest.raises(InvalidInputError, match="--momentum depends on --optimizer, which is not in the space"):
        Space(parameters={"--momentum": MOMENTUM}).ordered()
