"""The quick reader of `:predict` bodies takes exactly rows of numbers, and leaves all else to the careful one."""

import json

import numpy as np
import pytest

from trainstack.server.codec.rows import RowDecoder
from trainstack.server.codec.signature import DEFAULT, Signature, TensorSpec

WIDTH = 16


def reader(*shape: int) -> RowDecoder:
    return RowDecoder(Signature(DEFAULT, {"x": TensorSpec("float", (-1, *shape))}, {}))


@pytest.mark.parametrize("shape", [(2,), (WIDTH,), (4, 4)])
@pytest.mark.parametrize("count", [1, 3])
def test_rows_become_a_tensor_of_their_shape(shape, count):
    values = np.arange(count * np.prod(shape), dtype="float32").reshape(count, *shape)
    found = reader(*shape).decode(json.dumps({"instances": values.tolist()}).encode())
    assert found is not None
    assert found[1] is True
    np.testing.assert_array_equal(found[0]["x"], values)


row = list(range(WIDTH))


@pytest.mark.parametrize(
    "instances",
    [
        [row, [row]],
        [[row], [row]],
        [row[:-1], [*row, 1]],
        [row, *row],
        [*row, *row],
        [1, [row, row[:-1]]],
        [row, [[], *row]],
        [row, []],
        [row, row[:-1]],
        row,
        [],
    ],
)
def test_lists_of_another_shape_are_for_the_careful_reader(instances):
    assert reader(WIDTH).decode(json.dumps({"instances": instances}).encode()) is None
