import math
import time

import pytest

from trainstack.server.codec.json_text import parse_object
from trainstack.server.http.errors import HttpError


@pytest.mark.parametrize(
    ("token", "value"),
    [(b"Infinity", math.inf), (b"-Infinity", -math.inf), (b"Inf", math.inf), (b"-Inf", -math.inf)],
)
def test_infinite_numbers_are_read_as_by_tensorflow_serving(token: bytes, value: float):
    assert parse_object(b'{"inputs": [1.5, ' + token + b"]}") == {"inputs": [1.5, value]}


@pytest.mark.parametrize("token", [b"NaN", b"-NaN"])
def test_nan_is_read(token: bytes):
    assert math.isnan(parse_object(b'{"inputs": ' + token + b"}")["inputs"])


def test_a_token_inside_a_string_stays_text_beside_a_real_one():
    body = parse_object(b'{"a": "Inf and \\"NaN\\" and -Inf", "b": [-Inf]}')
    assert body == {"a": 'Inf and "NaN" and -Inf', "b": [-math.inf]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "document is empty"),
        (b"instances = [1, 2]", "JSON Parse error"),
        (b'{"instances": [1, NaNa]}', "JSON Parse error"),
        (b'{"instances": [Infinit]}', "JSON Parse error"),
        (b'{"instances": [1, NaN, 1e999]}', "JSON Parse error"),
        (b'x {"instances": [1]}', "JSON Parse error"),
        (b'{"instances": "\xff"}', "JSON Parse error"),
        (b'{"instances": 1e999}', "JSON Parse error"),
        (b"[" * 5000 + b"NaN", "JSON Parse error"),
        (b"[1, 2]", "Is not object"),
        (b"NaN", "Is not object"),
    ],
)
def test_what_is_not_a_json_object_is_refused(body: bytes, says: str):
    with pytest.raises(HttpError, match=says) as refused:
        parse_object(body)
    assert refused.value.status == 400


@pytest.mark.parametrize("end", [b"", b"\\"])
def test_a_string_without_an_end_costs_no_more_than_its_length(end: bytes):
    begun = time.process_time()
    with pytest.raises(HttpError, match="JSON Parse error"):
        parse_object(b'{"a": NaN, "b": "' + b'\\"' * 200_000 + end)
    assert time.process_time() - begun < 5


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(HttpError) as refused:
        parse_object(b"[" + b"1," * 10_000 + b"1]")
    assert len(str(refused.value)) < 300
