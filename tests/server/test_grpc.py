"""gRPC: KServe's and TensorFlow Serving's services against a real SavedModel, in each serving environment."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.server.served import Served, free_port

from trainstack.server.codec.protobuf_messages import INFERENCE, SERVING, message
from trainstack.server.codec.tensor_proto import read_tensor, write_tensor

pytestmark = pytest.mark.tensorflow
X = np.array([[1, 2, 3, 4], [0, 0, 0, 0]], np.float32)
SCORES = np.array([[40.5, 49.0], [0.5, -1.0]], np.float32)


class Client:
    def __init__(self, port: int, key: str = "") -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])
        self._metadata = [("authorization", f"Bearer {key}")] if key else None

    def call(self, method: str, request: Any) -> Any:
        package, name = method.split("/")[0].rpartition(".")[0], method.rpartition("/")[2]
        response = message(package, f"{name}Response").FromString
        remote: Any = self.channel.unary_unary(f"/{method}", type(request).SerializeToString, response)
        return remote(request, timeout=30, metadata=self._metadata)

    def v2(self, method: str, /, **fields: Any) -> Any:
        return self.call(f"{INFERENCE}.GRPCInferenceService/{method}", message(INFERENCE, f"{method}Request")(**fields))


@pytest.fixture(scope="module", params=["2.15", "2.21"])
def client(
    request: pytest.FixtureRequest,
    serving_interpreter: Callable[[str], Path],
    zoo: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Client]:
    port, log = free_port(), tmp_path_factory.mktemp("grpc") / "log.txt"
    server = Served(serving_interpreter(request.param), zoo, log, "--grpc-port", str(port)).ready()
    made = Client(port)
    yield made
    made.channel.close()
    server.end()


def infer(client: Client, signature: str = "serving_default", **fields: Any) -> Any:
    parameter = message(INFERENCE, "InferParameter")(string_param=signature)
    return client.v2("ModelInfer", model_name="zoo", id="7", parameters={"signature_name": parameter}, **fields)


def predict(client: Client, name: str = "zoo", signature: str = "", version: int = 0, **inputs: Any) -> Any:
    request = message(SERVING, "PredictRequest")()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    if version:
        request.model_spec.version.value = version
    for key, value in inputs.items():
        write_tensor(request.inputs[key], value)
    return client.call(f"{SERVING}.PredictionService/Predict", request)


def test_health_and_metadata_follow_the_protocol(client: Client):
    assert client.v2("ServerLive").live
    assert client.v2("ServerReady").ready
    assert client.v2("ModelReady", name="zoo", version="3").ready
    assert "binary_tensor_data" in client.v2("ServerMetadata").extensions
    about = client.v2("ModelMetadata", name="zoo")
    assert (about.name, list(about.versions), about.platform) == ("zoo", ["3"], "tensorflow_savedmodel")
    assert [(one.name, one.datatype, list(one.shape)) for one in about.inputs] == [("x", "FP32", [-1, 4])]


@pytest.mark.parametrize("raw", [True, False])
def test_tensors_go_as_bytes_and_as_contents(client: Client, raw: bool):
    tensor = message(INFERENCE, "InferTensor")(name="x", datatype="FP32", shape=X.shape)
    if not raw:
        tensor.contents.fp32_contents.extend(X.ravel().tolist())
    answer = infer(client, inputs=[tensor], raw_input_contents=[X.tobytes()] if raw else [])
    assert (answer.model_name, answer.model_version, answer.id) == ("zoo", "3", "7")
    assert (answer.outputs[0].name, answer.outputs[0].datatype) == ("scores", "FP32")
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(2, 2), SCORES)


def test_strings_go_both_ways(client: Client):
    tensor = message(INFERENCE, "InferTensor")(name="text", datatype="BYTES", shape=[2])
    tensor.contents.bytes_contents.extend([b"a", b"\xff"])
    assert infer(client, "echo", inputs=[tensor]).raw_output_contents[0] == b"\x01\0\0\0a\x01\0\0\0\xff"


def test_predictions_are_those_of_tensorflow_serving(client: Client):
    answer = predict(client, x=X, version=3)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("zoo", 3)
    assert answer.model_spec.signature_name == "serving_default"
    assert list(answer.outputs["scores"].float_val) == SCORES.ravel().tolist()
    values = {"bool": True, "double": 0.1, "int8": -128, "int16": 2**15 - 1, "int64": -(2**63)}
    values |= {"uint8": 255, "uint32": 2**32 - 1, "uint64": 2**64 - 1}
    inputs: dict[str, Any] = {
        f"of_{name}": np.array([value], "f8" if name == "double" else name) for name, value in values.items()
    }
    outputs = predict(client, signature="types", **inputs).outputs
    for index, name in enumerate(values):
        assert read_tensor(outputs[f"out{index}"], "", name).tolist() == [values[name]]
    half = predict(client, signature="narrow", x=np.array([0.5], "f4")).outputs["y"]
    assert read_tensor(half, "y", "float16").tolist() == [0.5]


def test_metadata_and_status_are_those_of_tensorflow_serving(client: Client):
    spec = message(SERVING, "ModelSpec")(name="zoo")
    request = message(SERVING, "GetModelMetadataRequest")(model_spec=spec, metadata_field=["signature_def"])
    answer = client.call(f"{SERVING}.PredictionService/GetModelMetadata", request)
    definitions = answer.metadata["signature_def"]
    assert definitions.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    assert b"serving_default" in definitions.value
    status = client.call(
        f"{SERVING}.ModelService/GetModelStatus", message(SERVING, "GetModelStatusRequest")(model_spec=spec)
    )
    assert [(one.version, one.state) for one in status.model_version_status] == [(3, 30)]


def test_a_wrong_call_is_told_what_is_wrong(client: Client):
    tensor = message(INFERENCE, "InferTensor")(name="x", datatype="FP32", shape=[1, 4])
    other = message(INFERENCE, "InferTensor")(name="y", datatype="FP32", shape=[1, 4])
    wrong: list[tuple[Callable[[], Any], str, str]] = [
        (lambda: predict(client, "none", x=X), "NOT_FOUND", "Servable not found for request: Latest(none)"),
        (lambda: predict(client, version=9, x=X), "NOT_FOUND", "Specific(zoo, 9)"),
        (lambda: predict(client, x=X[:, :3]), "INVALID_ARGUMENT", "has shape [2, 3]"),
        (lambda: predict(client, x=X.astype("f8")), "INVALID_ARGUMENT", "the model takes float"),
        (lambda: predict(client, y=X), "INVALID_ARGUMENT", "input size does not match signature"),
        (lambda: predict(client, signature="none", x=X), "INVALID_ARGUMENT", "not found in signature def"),
        (lambda: infer(client, inputs=[tensor]), "INVALID_ARGUMENT", "holds 0 values"),
        (lambda: infer(client, inputs=[other]), "INVALID_ARGUMENT", "there is no input 'y'"),
        (lambda: infer(client), "INVALID_ARGUMENT", "input 'x' is missing"),
        (lambda: infer(client, inputs=[tensor], raw_input_contents=[b"12"]), "INVALID_ARGUMENT", "takes 16 bytes"),
        (lambda: client.v2("ModelReady", name="zoo", version="9"), "NOT_FOUND", "no version 9"),
        (lambda: predict(client, signature="pick", index=np.array([7], "i4")), "INVALID_ARGUMENT", "out of bounds"),
    ]
    for call, code, says in wrong:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        error: Any = refused.value
        assert (error.code().name, says in error.details()) == (code, True), error.details()


def test_a_key_is_asked_for(serving_python: Path, dense: Path, tmp_path: Path):
    port = free_port()
    (tmp_path / "key").write_text("the-key")
    options = ["--key-file", str(tmp_path / "key"), "--grpc-port", str(port)]
    server = Served(serving_python, dense, tmp_path / "log.txt", *options).ready()
    try:
        assert Client(port).v2("ServerLive").live
        for key, code in (("", "UNAUTHENTICATED"), ("wrong", "PERMISSION_DENIED")):
            with pytest.raises(grpc.RpcError) as refused:
                predict(Client(port, key), x=X)
            error: Any = refused.value
            assert error.code().name == code
        assert predict(Client(port, "the-key"), x=X).outputs
    finally:
        server.end()
