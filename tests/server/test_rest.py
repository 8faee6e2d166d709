"""TensorFlow Serving's REST API against a real SavedModel, over HTTP, in each serving environment."""

import gzip
import json
import math
from typing import Any

import httpx
import pytest
from tests.server.served import Served

pytestmark = pytest.mark.tensorflow


def refused(answer: httpx.Response, status: int, says: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    assert says in body["error"]
    assert "Traceback" not in body["error"]
    assert "\n" not in body["error"]


@pytest.mark.parametrize("path", ["/v1/models/zoo", "/v1/models/zoo/versions/3", "/V1/Models/zoo", "/v1/models/z%6Fo"])
def test_status_is_that_of_the_version(served: Served, path: str):
    answer = served.client.get(path)
    assert answer.status_code == 200
    assert answer.json() == {
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


@pytest.mark.parametrize("path", ["/v1/models/zoo/metadata", "/v1/models/zoo/versions/3/metadata"])
def test_metadata_are_the_signatures_in_protobuf_json(served: Served, path: str):
    body = served.client.get(path).json()
    assert body["model_spec"] == {"name": "zoo", "signature_name": "", "version": "3"}
    definitions = body["metadata"]["signature_def"]["signature_def"]
    dense = definitions["serving_default"]
    assert dense["method_name"] == "tensorflow/serving/predict"
    assert dense["inputs"] == {
        "x": {
            "name": "serving_default_x:0",
            "dtype": "DT_FLOAT",
            "tensor_shape": {
                "dim": [{"size": "-1", "name": ""}, {"size": "4", "name": ""}],
                "unknown_rank": False,
            },
        }
    }
    assert dense["outputs"]["scores"]["tensor_shape"]["dim"][1] == {"size": "2", "name": ""}
    assert definitions["any_rank"]["inputs"]["x"]["tensor_shape"] == {"dim": [], "unknown_rank": True}
    assert definitions["pair"]["inputs"]["text"]["dtype"] == "DT_STRING"
    assert "__saved_model_init_op" in definitions


@pytest.mark.parametrize("path", ["/v1/models/zoo:predict", "/v1/models/zoo/versions/3:predict"])
def test_rows_are_answered_by_predictions(served: Served, path: str):
    answer = served.client.post(path, content=b'{"instances": [[1, 2.0, 3, 4], [0, 0, 0, 0]]}')
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"predictions": [[40.5, 49.0], [0.5, -1.0]]}


def test_named_rows_and_columns_mean_the_same(served: Served):
    row = [1, 2, 3, 4]
    assert served.predict(instances=[{"x": row}]).json() == {"predictions": [[40.5, 49.0]]}
    assert served.predict(inputs=[row]).json() == {"outputs": [[40.5, 49.0]]}
    assert served.predict(inputs={"x": [row]}).json() == {"outputs": [[40.5, 49.0]]}
    assert served.client.post("/v1/models/zoo:predict", json={"inputs": [row]}).json() == {"outputs": [[40.5, 49.0]]}


def test_the_documented_example_gives_the_documented_answer(served: Served):
    assert served.predict("any_rank", instances=[1.0, 2.0, 5.0]).json() == {"predictions": [2.5, 3.0, 4.5]}


def test_several_inputs_and_outputs_are_named(served: Served):
    rows = served.predict("pair", instances=[{"text": "ab", "numbers": [1, 2]}, {"text": "c", "numbers": [3, 4]}])
    assert rows.json() == {"predictions": [{"length": 2, "sum": 3, "text": "AB"}, {"length": 1, "sum": 7, "text": "C"}]}
    columns = served.predict("pair", inputs={"text": ["ab", "c", "d"], "numbers": [[1, 2, 3]]})
    assert columns.json() == {"outputs": {"length": [2, 1, 1], "sum": [6], "text": ["AB", "C", "D"]}}


@pytest.mark.parametrize("value", [3.0, [1.0], [[[1.0, 2.0]]]])
def test_an_input_of_unknown_rank_takes_any(served: Served, value: Any):
    expected = json.loads(json.dumps(value), parse_float=lambda text: float(text) / 2 + 2)
    assert served.predict("any_rank", inputs=value).json() == {"outputs": expected}


def test_binary_strings_go_in_and_out_as_base64(served: Served):
    image = {"b64": "/9j/AA=="}
    assert served.predict("binary", instances=[image]).json() == {"predictions": [image]}
    assert served.predict("binary", instances=[{"image": image}]).json() == {"predictions": [image]}
    assert served.predict("binary", inputs={"image": [image, "text"]}).json() == {
        "outputs": [image, {"b64": "dGV4dA=="}]
    }


def test_text_keeps_its_characters(served: Served):
    text = 'né "quoted" \u2028 \U0001f600 \x00'
    assert served.predict("echo", instances=[text, ""]).json() == {"predictions": [text, ""]}


def test_bytes_that_are_no_text_are_not_altered(served: Served):
    assert served.predict("echo", instances=[{"b64": "/w=="}, "a"]).json() == {"predictions": [{"b64": "/w=="}, "a"]}


def test_numbers_that_are_not_finite_go_in_and_out_as_tokens(served: Served):
    body = b'{"signature_name": "quotient", "instances": [0.0, -0.0, NaN, Infinity, 4.0]}'
    answer = served.client.post("/v1/models/zoo:predict", content=body)
    assert answer.text == '{"predictions":[Infinity,-Infinity,NaN,0.0,0.25]}'
    assert math.isnan(json.loads(answer.text)["predictions"][2])


def test_a_large_number_is_rounded_to_what_the_type_has(served: Served):
    answer = served.predict("quotient", inputs=[1435774380, 16777217, 2**70, 1e39, -1e300])
    float32 = [1435774336.0, 16777216.0, 2.0**70, math.inf, -math.inf]
    assert answer.json()["outputs"] == pytest.approx([1 / number for number in float32], rel=1e-6)
    assert served.predict(instances=[[16777217, 0, 0, 0]]).json() == {"predictions": [[0.5, 16777216.0 - 1]]}


def test_every_number_type_keeps_its_largest_value(served: Served):
    values = {"of_bool": True, "of_double": 0.1, "of_int8": -128, "of_int16": 32767, "of_int64": -(2**63)}
    values |= {"of_uint8": 255, "of_uint32": 2**32 - 1, "of_uint64": 2**64 - 1}
    answer = served.predict("types", instances=[values])
    order = ("bool", "double", "int8", "int16", "int64", "uint8", "uint32", "uint64")
    assert answer.json()["predictions"] == [{f"out{n}": values[f"of_{name}"] for n, name in enumerate(order)}]


def test_a_scalar_output_has_columns_and_no_rows(served: Served):
    assert served.predict("total", inputs=[1, 2, 3]).json() == {"outputs": 6.0}
    refused(served.predict("total", instances=[1, 2, 3]), 400, "Tensor name: y has no shape information")


def test_outputs_of_differing_batches_have_columns_and_no_rows(served: Served):
    assert served.predict("uneven", inputs=[1]).json() == {"outputs": {"a": [1.0], "b": [1.0, 1.0]}}
    refused(served.predict("uneven", instances=[1]), 400, "inconsistent batch size")


def test_an_output_of_16_bits_is_a_number(served: Served):
    assert served.predict("narrow", inputs=[1]).json() == {"outputs": [1.0]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"instances = [1, 2]", "JSON Parse error"),
        (b"[1]", "Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": 1}', "to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": ["x", "y"]}', "is not of expected type: float"),
        (b'{"instances": [[1, 2], [3]]}', "Expecting tensor size: 2 but got: 1"),
        (b'{"instances": [[1, 2, 3]]}', "input 'x' has shape [1, 3]"),
        (b'{"inputs": {"y": [[1, 2, 3, 4]]}}', "Missing named input: x in 'inputs' object."),
        (b'{"signature_name": "none", "inputs": 1}', 'Serving signature name: "none" not found in signature def'),
        (b'{"signature_name": "__saved_model_init_op", "inputs": 1}', "Failed to get input map for signature"),
        (b'{"signature_name": 100}', "'signature_name' key must be a string value."),
        (b'{"signature_name": "pick", "inputs": [1.0]}', "is not of expected type: int32"),
    ],
)
def test_a_body_that_does_not_fit_is_400(served: Served, body: bytes, says: str):
    refused(served.client.post("/v1/models/zoo:predict", content=body), 400, says)


def test_an_error_of_the_runtime_is_its_reason_without_a_trace(served: Served):
    refused(served.predict("pick", inputs=[7]), 400, "gather index out of bounds")
    refused(served.predict("lookup", inputs={"text": ["a"], "index": [7]}), 400, "indices[0] = 7 is not in [0, 3)")


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("POST", "/v1/foo", 400, "Malformed request: POST /v1/foo"),
        ("POST", "/v1/models/zoo", 405, "takes GET only"),
        ("POST", "/v1/models/zoo/metadata", 405, "takes GET only"),
        ("GET", "/v1/models/zoo:predict", 405, "takes POST only"),
        ("PUT", "/v1/models/zoo:predict", 405, "takes POST only"),
        ("OPTIONS", "/v1/models/zoo:predict", 405, "takes POST only"),
        ("POST", "/v1/models", 405, "takes GET only"),
        ("GET", "/v1/models/debug/zoo", 400, "Malformed request"),
        ("POST", "/v1/models/zoo/versions/3/labels/a:regress", 400, "Malformed request"),
        ("POST", "/v1/models/zoo/version/3:predict", 400, "Malformed request"),
        ("POST", "/v1/models/zoo/versions/HELLO:predict", 400, "Malformed request"),
        ("POST", f"/v1/models/zoo/versions/{2**64 - 1}:predict", 400, "Failed to convert version"),
        ("POST", "/v1/models/zoo/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("POST", "/v1/models/foo:predict", 404, "Servable not found for request: Latest(foo)"),
        ("POST", "/v1/models/zoo/versions/9:predict", 404, "Servable not found for request: Specific(zoo, 9)"),
        ("GET", "/v1/models/foo", 404, "Could not find any versions of model foo"),
        ("GET", "/v1/models/zoo/versions/9", 404, "Could not find version 9 of model zoo"),
        ("GET", "/v1/models/foo/metadata", 404, "Servable not found for request: Latest(foo)"),
        ("POST", "/v1/models/zoo:classify", 400, "key 'examples' is expected and was not found"),
        ("GET", "/nothing", 404, "Not found"),
        ("GET", "/statuspage", 404, "Not found"),
    ],
)
def test_a_path_that_is_not_served_says_so(served: Served, method: str, path: str, status: int, says: str):
    refused(served.client.request(method, path, content=b'{"instances": [1]}'), status, says)


def test_malformed_json_comes_before_an_unknown_model(served: Served):
    refused(served.client.post("/v1/models/foo:predict", content=b"x"), 400, "JSON Parse error")


def test_every_answer_names_the_digest_that_is_served(served: Served):
    for answer in (
        served.client.get("/healthz"),
        served.client.get("/v1/models/zoo"),
        served.predict(inputs=[[1, 2, 3, 4]]),
        served.client.get("/v1/foo"),
    ):
        assert (answer.headers["x-model-version"], answer.headers["x-model-digest"]) == ("3", "d1g")


def test_health_names_model_runtime_and_process(served: Served):
    said = served.client.get("/healthz").json()
    assert (said["status"], said["name"], said["version"], said["digest"]) == ("ok", "zoo", 3, "d1g")
    assert (said["server"], said["workers"], said["error"]) == (served.process.pid, 1, None)
    assert said["runtime"] == "litert+tensorflow"
    assert "serving_default" in said["runtime_reason"]
    assert "echo: input text is of type string" in said["runtime_reason"]
    assert said["versions"][0]["weight"] == 1
    assert len(said["plan"]) == 64


def test_a_body_may_come_packed(served: Served):
    body = gzip.compress(b'{"inputs": [[1, 2, 3, 4]]}')
    answer = served.client.post("/v1/models/zoo:predict", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.json() == {"outputs": [[40.5, 49.0]]}
    for encoding, sent in (
        ("x-gzip", body),
        ("gzip", gzip.compress(b'{"inputs": ') + gzip.compress(b"[[1, 2, 3, 4]]}")),
    ):
        answer = served.client.post("/v1/models/zoo:predict", content=sent, headers={"Content-Encoding": encoding})
        assert answer.json() == {"outputs": [[40.5, 49.0]]}
    for broken in (b"{}", body[:-9], body + b"x"):
        answer = served.client.post("/v1/models/zoo:predict", content=broken, headers={"Content-Encoding": "gzip"})
        refused(answer, 400, "gzip")
    answer = served.client.post("/v1/models/zoo:predict", content=body, headers={"Content-Encoding": "br"})
    refused(answer, 415, "'br' is not known")


def test_a_million_numbers_arrive_exactly(served: Served):
    values = [number / 7 for number in range(1_000_000)]
    answer = served.predict("any_rank", inputs=values)
    assert len(answer.json()["outputs"]) == 1_000_000
    assert answer.json()["outputs"][999_999] == pytest.approx(999_999 / 14 + 2, rel=1e-6)


def test_classify_gives_labels_and_scores_for_each_example(served: Served):
    body = {"signature_name": "classify", "examples": [{"x": [0.25, 0.75]}, {"x": [1.0, 0.0]}]}
    answer = served.client.post("/v1/models/zoo:classify", json=body)
    assert answer.json() == {"results": [[["cat", 0.25], ["dog", 0.75]], [["cat", 1.0], ["dog", 0.0]]]}


def test_regress_gives_a_number_for_each_example_with_context(served: Served):
    body: dict[str, Any] = {"signature_name": "regress", "examples": [{"x": [1.0, 2.0]}, {"x": [3.0, 4.0], "plus": 1}]}
    path = "/v1/models/zoo/versions/3:regress"
    assert served.client.post(path, json=body).json() == {"results": [3.0, 8.0]}
    body["context"] = {"plus": 10}
    assert served.client.post(path, json=body).json() == {"results": [13.0, 8.0]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"signature_name": "classify", "examples": {}}, "value to be an list/array"),
        ({"signature_name": "classify", "examples": []}, "is an empty array"),
        ({"signature_name": "classify", "examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"signature_name": "classify", "examples": [{"x": [1, "a"]}]}, "Unexpected element type in feature: x"),
        ({"signature_name": "classify", "examples": [{"x": None}]}, "unexpected JSON type: Null"),
        ({"signature_name": "classify", "examples": [{"x": [[1.0]]}]}, "unexpected JSON type: Array"),
        ({"examples": [{"x": [1.0, 2.0]}]}, "method_name to be tensorflow/serving/classify. Was:"),
        ({"signature_name": "none", "examples": [{}]}, 'Serving signature name: "none" not found'),
    ],
)
def test_an_example_that_does_not_fit_is_refused(served: Served, body: dict[str, Any], says: str):
    refused(served.client.post("/v1/models/zoo:classify", json=body), 400, says)


def test_images_and_scalars_of_several_inputs_are_answered(served: Served):
    row = {"image": [[[1.0], [2.0]], [[3.0], [4.0]]], "scale": 2}
    assert served.predict("image", instances=[row, row]).json() == {
        "predictions": [{"largest": 8.0, "sum": 20.0}, {"largest": 8.0, "sum": 20.0}]
    }
