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
    extensions = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
    assert client.get_server_metadata()["extensions"] == extensions
    assert client.get_model_metadata("zoo") == {
        "name": "zoo",
        "versions": ["3"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}],
    }


def test_configuration_and_repository_are_read(client: triton.InferenceServerClient):
    config = client.get_model_config("zoo", "3")
    assert (config["name"], config["platform"], config["max_batch_size"]) == ("zoo", "tensorflow_savedmodel", 0)
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 4]}]
    assert config["output"] == [{"name": "scores", "data_type": "TYPE_FP32", "dims": [-1, 2]}]
    index = [{"name": "zoo", "version": "3", "state": "READY", "reason": ""}]
    assert client.get_model_repository_index() == index
    with pytest.raises(InferenceServerException, match="no version 4"):
        client.get_model_config("zoo", "4")


def test_statistics_count_requests_calls_and_rows(client: triton.InferenceServerClient):
    def stats(version: str = "") -> dict[str, Any]:
        [model] = client.get_inference_statistics("zoo", version)["model_stats"]
        return model

    before = stats()
    client.infer("zoo", [tensor("x", np.zeros((5, 4), np.float32), "FP32")])
    with pytest.raises(InferenceServerException):
        client.infer("zoo", [tensor("x", np.zeros((5, 3), np.float32), "FP32")])
    after = stats("3")
    assert (after["name"], after["version"]) == ("zoo", "3")
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] - before["execution_count"] == 1
    for outcome in ("success", "fail"):
        counts = [one["inference_stats"][outcome]["count"] for one in (before, after)]
        assert counts[1] - counts[0] == 1
    assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
    assert after["last_inference"] > before["last_inference"]
    assert next(batch for batch in after["batch_stats"] if batch["batch_size"] == 5)["compute_infer"]["count"] > 0
    assert client.get_inference_statistics()["model_stats"][0]["version"] == "3"


def test_what_is_not_served_of_the_extensions_says_so(client: triton.InferenceServerClient):
    calls = [
        (lambda: client.load_model("zoo"), "read-only"),
        (lambda: client.unload_model("zoo"), "read-only"),
        (client.get_system_shared_memory_status, "shared memory is not served"),
        (lambda: client.register_system_shared_memory("r", "/r", 4), "shared memory is not served"),
        (client.unregister_cuda_shared_memory, "shared memory is not served"),
        (client.get_trace_settings, "trace is not served"),
        (lambda: client.update_trace_settings("zoo", {"trace_rate": "1"}), "trace is not served"),
        (client.get_log_settings, "logging is not served"),
        (lambda: client.update_log_settings({"log_info": True}), "logging is not served"),
    ]
    for call, says in calls:
        with pytest.raises(InferenceServerException, match=says) as refused:
            call()
        assert refused.value.status() in (None, "400")


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
