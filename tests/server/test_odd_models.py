"""Signatures that are hard to serve: tried at deploy, answered, or named before the service is well."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.server.served import Served

pytestmark = pytest.mark.tensorflow
SAVE = Path(__file__).parent / "save_odd_models.py"
SERVED = ("where", "unique", "total", "product", "scalar", "brain", "half", "short", "echo", "branched")
OF_ANY_SIZE = ("sine", "sigmoid", "count")
UNSERVED = ("words", "sparse", "complex", "python")


@pytest.fixture(scope="module", params=["2.15", "2.21"])
def python(request: pytest.FixtureRequest, serving_interpreter: Callable[[str], Path]) -> Path:
    return serving_interpreter(request.param)


@pytest.fixture(scope="module")
def odd(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Saved and served by the same version of TensorFlow; what can be empty is the default signature."""
    folder = tmp_path_factory.mktemp("odd")
    save(python, folder / "model", "serving_default=positive", *SERVED, *UNSERVED, *OF_ANY_SIZE)
    server = Served(python, folder / "model", folder / "log.txt")
    yield server.ready()
    server.end()


def save(python: Path, folder: Path, *signatures: str) -> None:
    subprocess.run([python, SAVE, folder, *signatures], check=True, capture_output=True)


def as_bytes(datatype: str, values: list[int]) -> bytes:
    if datatype == "BF16":
        # The upper half of a float32.
        return np.array(values, "<f4").view("<u2")[1::2].tobytes()
    return np.array(values, {"FP16": "<f2", "UINT16": "<u2"}[datatype]).tobytes()


def infer(server: Served, signature: str, datatype: str, shape: list[int], data: list[object]) -> object:
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "data": data}
    body = {"parameters": {"signature_name": signature}, "inputs": [tensor]}
    return server.client.post("/v2/models/zoo/infer", json=body).json()["outputs"][0]


@pytest.mark.parametrize(
    ("signature", "inputs", "outputs"),
    [
        ("serving_default", [], []),
        ("serving_default", [-1, -2], []),
        ("serving_default", [3, -1, 2], [3, 2]),
        ("where", [[0, 0, 0]], []),
        ("where", [[0, 1, 0]], [[0, 1]]),
        ("unique", [2, 2, 1, 2], [2, 1]),
    ],
)
def test_an_output_that_can_be_empty_is_served(odd: Served, signature: str, inputs: object, outputs: object):
    assert odd.predict(signature, inputs=inputs).json() == {"outputs": outputs}


def test_no_rows_are_answered_as_tensorflow_answers_them(odd: Served):
    assert infer(odd, "product", "FP32", [0, 4], []) == {"name": "y", "datatype": "FP32", "shape": [0, 4], "data": []}
    assert infer(odd, "total", "FP32", [0, 4], []) == {"name": "y", "datatype": "FP32", "shape": [], "data": [0.0]}
    assert infer(odd, "where", "FP32", [0, 3], []) == {"name": "y", "datatype": "INT64", "shape": [0, 2], "data": []}
    assert infer(odd, "echo", "BYTES", [0], []) == {"name": "y", "datatype": "BYTES", "shape": [0], "data": []}


def test_rows_that_depend_on_each_other_share_no_call(odd: Served):
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: odd.predict("unique", inputs=[2, 2, 1]).json(), range(64))
    assert all(answer == {"outputs": [2, 1]} for answer in answers)


def test_a_scalar_has_no_dimensions_in_metadata(odd: Served):
    metadata = odd.client.get("/v2/models/zoo", params={"signature_name": "scalar"}).json()
    assert [tensor["shape"] for tensor in (*metadata["inputs"], *metadata["outputs"])] == [[], []]
    assert infer(odd, "scalar", "FP32", [], [4]) == {"name": "y", "datatype": "FP32", "shape": [], "data": [8.0]}


@pytest.mark.parametrize(("signature", "datatype"), [("brain", "BF16"), ("half", "FP16"), ("short", "UINT16")])
def test_types_of_16_bits_go_both_ways(odd: Served, signature: str, datatype: str):
    factor = 1 if signature == "short" else 2
    assert odd.predict(signature, inputs=[1, 3]).json() == {"outputs": [factor, 3 * factor]}
    answer = infer(odd, signature, datatype, [2], [1, 3])
    assert answer == {"name": "y", "datatype": datatype, "shape": [2], "data": [factor, 3 * factor]}
    tensor = {"name": "x", "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": 4}}
    head = {"parameters": {"signature_name": signature, "binary_data_output": True}, "inputs": [tensor]}
    sent = odd.client.post(
        "/v2/models/zoo/infer",
        content=(text := json.dumps(head).encode()) + as_bytes(datatype, [1, 3]),
        headers={"Inference-Header-Content-Length": str(len(text))},
    )
    assert sent.content[int(sent.headers["Inference-Header-Content-Length"]) :] == as_bytes(
        datatype, [factor, 3 * factor]
    )


def test_bytes_that_are_no_text_are_base64(odd: Served):
    assert odd.predict("echo", inputs=[{"b64": "/w=="}, "né"]).json() == {"outputs": [{"b64": "/w=="}, "né"]}


def test_python_code_in_a_branch_that_is_not_taken_disturbs_nobody(odd: Served):
    assert odd.predict("branched", inputs=[[1, 2]]).json() == {"outputs": [[1.0, 2.0]]}


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("words", "output y is a RaggedTensor, which no request or answer has: return .to_tensor()"),
        ("sparse", "output y is a SparseTensor"),
        ("complex", "output y is a complex64"),
        ("python", "it calls Python code (tf.py_function or tf.numpy_function)"),
    ],
)
def test_what_cannot_be_served_is_named_at_deploy_and_when_called(odd: Served, signature: str, reason: str):
    health = odd.client.get("/healthz").json()
    assert health["unserved"].keys() == set(UNSERVED)
    assert health["unserved"][signature].startswith(reason)
    assert f"not served: {signature}, as {reason}" in health["runtime_reason"]
    log = odd.log.read_text()
    assert log.index(f"signature {signature} is not served: {reason}") < log.index(" ready on ")
    answer = odd.predict(signature, inputs=["a"] if signature == "words" else [1])
    assert answer.status_code == 501
    assert reason in answer.json()["error"]


def test_numbers_of_any_size_are_answered_as_tensorflow_answers_them(odd: Served):
    answer = odd.predict("sine", inputs=[[1e10, 1e-45, -1e38]]).json()["outputs"][0]
    np.testing.assert_allclose(answer, np.sin(np.array([1e10, 0, -1e38], np.float32).astype("f8")), atol=1e-6)
    assert "sine: output y differs from TensorFlow's for numbers around" in odd.client.get("/healthz").text
    assert odd.predict("sigmoid", inputs=[[1e38] * 5 + [-1e38] * 5]).json() == {"outputs": [[1.0] * 5 + [0.0] * 5]}


def test_a_signature_that_counts_up_to_its_input_is_compared_within_seconds(odd: Served):
    assert odd.predict("count", inputs=3).json() == {"outputs": [0, 1, 2]}
    assert "count: it takes long for numbers around" in odd.client.get("/healthz").text


def test_a_tensor_in_shared_memory_is_refused(odd: Served):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1]}
    region = {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 4}}
    for body in (
        {"inputs": [{**tensor, "data": [1]}], "outputs": [{"name": "y", **region}]},
        {"inputs": [{**tensor, **region}]},
    ):
        answer = odd.client.post("/v2/models/zoo/infer", json=body)
        assert answer.status_code == 400
        assert "shared memory" in answer.json()["error"]


@pytest.mark.parametrize("method", UNSERVED)
def test_a_default_signature_that_cannot_be_served_ends_the_server(serving_python: Path, tmp_path: Path, method: str):
    save(serving_python, tmp_path / "model", f"serving_default={method}", "product")
    server = Served(serving_python, tmp_path / "model", tmp_path / "log.txt")
    assert server.process.wait(60) == 1
    assert "signature serving_default cannot be served: " in server.log.read_text()


def test_one_of_several_signatures_without_a_default_must_be_named(serving_python: Path, tmp_path: Path):
    save(serving_python, tmp_path / "model", "product", "total")
    server = Served(serving_python, tmp_path / "model", tmp_path / "log.txt").ready()
    try:
        says = "there is no serving_default: requests name one of product, total as signature_name"
        assert says in server.client.get("/healthz").json()["runtime_reason"]
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
        refused = server.client.post("/v2/models/zoo/infer", json={"inputs": [tensor]})
        assert refused.status_code == 400
        assert "name one of product, total" in refused.json()["error"]
        assert infer(server, "total", "FP32", [1, 4], [1, 2, 3, 4])
        assert server.predict(inputs=[[1, 2, 3, 4]]).status_code == 400
        assert server.predict("product", inputs=[[1, 2, 3, 4]]).json() == {"outputs": [[2.0, 4.0, 6.0, 8.0]]}
    finally:
        server.end()
