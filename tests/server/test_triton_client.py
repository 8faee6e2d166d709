"""The Open Inference Protocol, version 2, as its best known client speaks it, against a real SavedModel."""

import gzip
import struct
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tests.server.served import Served
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def client(served: Served) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(f"127.0.0.1:{served.port}")


def tensor(name: str, values: Any, datatype: str, *, binary: bool = True) -> triton.InferInput:
    array = np.asarray(values, object if datatype == "BYTES" else None)
    found = triton.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def test_health_readiness_and_metadata_follow_the_protocol(client: triton.InferenceServerClient):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("zoo")
    assert client.is_model_ready("zoo", "3")
    assert not client.is_model_ready("zoo", "4")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.get_model_metadata("zoo") == {
        "name": "zoo",
        "versions": ["3"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}],
    }


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_tensors_go_as_bytes_and_as_json(
    client: triton.InferenceServerClient, binary_in: bool, binary_out: bool | None, packed: str | None
):
    x = np.array([[1, 2, 3, 4], [0, 0, 0, 0]], np.float32)
    outputs = None if binary_out is None else [triton.InferRequestedOutput("scores", binary_data=binary_out)]
    answer = client.infer(
        "zoo",
        [tensor("x", x, "FP32", binary=binary_in)],
        request_id="7",
        outputs=outputs,
        request_compression_algorithm=packed,
    )
    np.testing.assert_array_equal(answer.as_numpy("scores"), np.array([[40.5, 49.0], [0.5, -1.0]], np.float32))
    said = answer.get_response()
    assert (said["id"], said["model_name"], said["model_version"]) == ("7", "zoo", "3")


@pytest.mark.parametrize("binary", [True, False])
def test_strings_and_several_tensors_go_both_ways(client: triton.InferenceServerClient, binary: bool):
    inputs = [
        tensor("text", [b"ab", b"c"], "BYTES", binary=binary),
        tensor("numbers", np.array([[1, 2], [3, 4]], np.int32), "INT32", binary=binary),
    ]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("text", "sum", "length")]
    answer = client.infer("zoo", inputs, outputs=outputs, parameters={"signature_name": "pair"})
    # As JSON they are text.
    assert np.asarray(answer.as_numpy("text")).tolist() == ([b"AB", b"C"] if binary else ["AB", "C"])
    assert np.asarray(answer.as_numpy("sum")).tolist() == [3, 7]
    assert np.asarray(answer.as_numpy("length")).tolist() == [2, 1]


def test_every_number_type_keeps_its_values(client: triton.InferenceServerClient):
    values = {
        "bool": np.array([True, False]),
        "double": np.array([0.1, -1e300]),
        "int8": np.array([-128, 127], np.int8),
        "int16": np.array([-(2**15), 2**15 - 1], np.int16),
        "int64": np.array([-(2**63), 2**63 - 1], np.int64),
        "uint8": np.array([0, 255], np.uint8),
        "uint32": np.array([0, 2**32 - 1], np.uint32),
        "uint64": np.array([0, 2**64 - 1], np.uint64),
    }
    datatypes = {"bool": "BOOL", "double": "FP64", **{name: name.upper() for name in values if "int" in name}}
    inputs = [tensor(f"of_{name}", value, datatypes[name]) for name, value in values.items()]
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput(f"out{index}", binary_data=binary) for index in range(len(values))]
        answer = client.infer("zoo", inputs, outputs=outputs, parameters={"signature_name": "types"})
        for index, value in enumerate(values.values()):
            np.testing.assert_array_equal(answer.as_numpy(f"out{index}"), value)


def test_numbers_that_are_not_finite_go_as_bytes_and_as_tokens(client: triton.InferenceServerClient):
    x = np.array([0.0, -0.0, np.nan, np.inf], np.float32)
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
        answer = client.infer(
            "zoo", [tensor("x", x, "FP32")], outputs=outputs, parameters={"signature_name": "quotient"}
        )
        np.testing.assert_array_equal(answer.as_numpy("y"), [np.inf, -np.inf, np.nan, 0.0])


def test_a_wrong_request_is_told_what_is_wrong(client: triton.InferenceServerClient):
    x = np.zeros((1, 4), np.float32)
    wrong = [
        ("none", [tensor("x", x, "FP32")], "there is no model 'none'"),
        ("zoo", [tensor("y", x, "FP32")], "there is no input 'y'"),
        ("zoo", [tensor("x", x.astype(np.float64), "FP64")], "but the model takes FP32"),
        ("zoo", [tensor("x", x[:, :3], "FP32")], "has shape [1, 3]"),
        ("zoo", [], "input 'x' is missing"),
    ]
    for model, inputs, says in wrong:
        with pytest.raises(InferenceServerException) as refused:
            client.infer(model, inputs)
        assert says in str(refused.value)


def post(served: Served, body: bytes, length: object = None) -> httpx.Response:
    headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
    return served.client.post("/v2/models/zoo/infer", content=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"{}", None),
        (b'{"inputs": 1}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32"}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[1, 2], [3, 4]]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [-1, 4], "datatype": "FP32", "data": []}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1e9, 4], "datatype": "FP32", "data": []}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": 1}]}', None),
        (b'{"inputs": []}', 99),
        (b'{"inputs": []}', "x"),
        (b'{"inputs": []}', -1),
    ],
)
def test_a_malformed_body_is_400_and_one_line(served: Served, body: bytes, length: object):
    answer = post(served, body, length)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.json()["error"]


def test_strings_whose_lengths_lie_are_refused(served: Served):
    about = b'{"parameters": {"signature_name": "echo"}, "inputs": [{"name": "text", "shape": [%d], "datatype": "BYTES"'
    about += b', "parameters": {"binary_data_size": %d}}]}'
    for count, data in ((1, struct.pack("<I", 2**32 - 1)), (2**31 - 1, b""), (1, b"\x01\x00\x00\x00ab"), (1, b"abc")):
        head = about % (count, len(data))
        answer = post(served, head + data, len(head))
        assert answer.status_code == 400, answer.text


def test_a_packed_bomb_is_refused(served: Served):
    bomb = gzip.compress(b" " * (65 * 2**20))
    answer = served.client.post("/v2/models/zoo/infer", content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
