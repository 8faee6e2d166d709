"""gRPC beside HTTP: KServe's `GRPCInferenceService` and TensorFlow Serving's `PredictionService` and `ModelService`.

By grpcio, which comes with TensorFlow: one server a worker, all of them on one port, in the worker's event loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc

from ..codec.inference_messages import parameters_of, read_inputs, requested_outputs, write_outputs
from ..codec.prediction_request import Prediction
from ..codec.protobuf_messages import INFERENCE, SERVING, message
from ..codec.signature import DEFAULT, Signature
from ..codec.tensor_proto import read_tensors, write_tensor
from ..codec.tensors import Array
from ..http.auth import check_key
from ..http.errors import HttpError
from ..model.model_set import LoadedModel, ModelSet
from ..runtime.declared import signature_map
from .open_inference import EXTENSIONS, default_signature, model_metadata, served_model

_log = logging.getLogger("trainstack.server")
_AVAILABLE = 30
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 401: grpc.StatusCode.UNAUTHENTICATED, 403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND, 413: grpc.StatusCode.RESOURCE_EXHAUSTED, 429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED, 503: grpc.StatusCode.UNAVAILABLE, 504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
_OPEN = ("ServerLive", "ServerReady")
_SIGNATURE_DEF_MAP = "type.googleapis.com/tensorflow.serving.SignatureDefMap"


class Inference(Protocol):
    """What computes: the worker's router."""

    @property
    def models(self) -> ModelSet:
        """What is served now."""
        ...

    async def infer(self, model: LoadedModel, prediction: Prediction, *, named: bool, seconds: float | None) -> Any:
        """Compute, within the worker's limits."""
        ...

    def count(self, path: str, version: int, status: int, seconds: float) -> None:
        """Count an answered request."""
        ...


class GrpcApi(grpc.GenericRpcHandler):
    """Answers calls by the path of their method.

    Args:
        inference: What computes.
    """

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        handlers: dict[str, dict[str, Callable[..., Awaitable[Any]]]] = {
            f"{INFERENCE}.GRPCInferenceService": {
                "ServerLive": self._server_live, "ServerReady": self._server_ready, "ModelReady": self._model_ready,
                "ServerMetadata": self._server_metadata, "ModelMetadata": self._model_metadata,
                "ModelInfer": self._model_infer,
            },
            f"{SERVING}.PredictionService": {"Predict": self._predict, "GetModelMetadata": self._get_metadata},
            f"{SERVING}.ModelService": {"GetModelStatus": self._get_status},
        }  # fmt: skip
        self._methods = {
            f"/{service}/{name}": self._method(service.rpartition(".")[0], name, handler)
            for service, methods in handlers.items()
            for name, handler in methods.items()
        }

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method; None where there is none."""
        return self._methods.get(handler_call_details.method)

    def _method(self, package: str, name: str, handler: Callable[..., Awaitable[Any]]) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            begun = time.perf_counter()
            version, status = self._inference.models.main.plan.version, 200
            try:
                if name not in _OPEN:
                    sent = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
                    self._check_key(sent.get("authorization"), sent.get("x-api-key"))
                return await handler(request, context)
            except HttpError as error:
                status = error.status
                await context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL), str(error))
            except grpc.aio.AbortError:
                raise
            except Exception:  # noqa: BLE001 (whatever it is, the client gets no stack trace; the log does)
                status = 500
                _log.exception("%s failed", name)
                await context.abort(grpc.StatusCode.INTERNAL, "internal error: the reason is in the service's log")
            finally:
                self._inference.count(f"grpc:{name}", version, status, time.perf_counter() - begun)

        handler_of: Any = grpc.unary_unary_rpc_method_handler
        return handler_of(answer, message(package, f"{name}Request").FromString, _serialized)

    def _check_key(self, authorization: str | None, api_key: str | None) -> None:
        digests = self._inference.models.plan.key_digests
        if digests:
            check_key(digests, authorization, api_key)

    async def _server_live(self, request: Any, context: Any) -> Any:
        return message(INFERENCE, "ServerLiveResponse")(live=True)

    async def _server_ready(self, request: Any, context: Any) -> Any:
        return message(INFERENCE, "ServerReadyResponse")(ready=True)

    async def _server_metadata(self, request: Any, context: Any) -> Any:
        return message(INFERENCE, "ServerMetadataResponse")(name="trainstack", version="2", extensions=EXTENSIONS)

    async def _model_ready(self, request: Any, context: Any) -> Any:
        self._model_of(request.name, request.version)
        return message(INFERENCE, "ModelReadyResponse")(ready=True)

    async def _model_metadata(self, request: Any, context: Any) -> Any:
        signature = default_signature(self._model_of(request.name, request.version), None)
        return message(INFERENCE, "ModelMetadataResponse")(**model_metadata(self._inference.models, signature))

    async def _model_infer(self, request: Any, context: Any) -> Any:
        model = self._model_of(request.model_name, request.model_version)
        parameters = parameters_of(request)
        signature = default_signature(model, parameters.get("signature_name"))
        names = requested_outputs(request, signature)
        tensors = read_inputs(request, signature)
        outputs = await self._run(model, signature, tensors, bool(request.model_version), context)
        version, name = model.plan.version, self._inference.models.plan.name
        return write_outputs(name, version, request.id, {name: outputs[name] for name in names})

    async def _predict(self, request: Any, context: Any) -> Any:
        model, named = self._specified(request.model_spec)
        name = request.model_spec.signature_name or DEFAULT
        signature = model.servable.signatures.get(name)
        if signature is None or not signature.inputs:
            raise HttpError(f'Serving signature name: "{name}" not found in signature def')
        if set(request.inputs) != set(signature.inputs):
            raise HttpError(
                f"input size does not match signature: {len(request.inputs)}!={len(signature.inputs)}: it takes "
                + ", ".join(signature.inputs)
            )
        tensors = read_tensors(request.inputs, signature)
        names = list(request.output_filter) or list(signature.outputs)
        unknown = [output for output in names if output not in signature.outputs]
        if unknown:
            raise HttpError(f"output tensor alias not found in signature: {unknown[0]}")
        outputs = await self._run(model, signature, tensors, named, context)
        response = message(SERVING, "PredictResponse")()
        self._say_model(response.model_spec, model, name)
        for output in names:
            write_tensor(response.outputs[output], outputs[output])
        return response

    async def _get_metadata(self, request: Any, context: Any) -> Any:
        model, _ = self._specified(request.model_spec)
        if list(request.metadata_field) not in ([], ["signature_def"]):
            raise HttpError(f"Metadata field {request.metadata_field[0]} is not supported")
        response = message(SERVING, "GetModelMetadataResponse")()
        self._say_model(response.model_spec, model, "")
        definitions = response.metadata["signature_def"]
        definitions.type_url, definitions.value = _SIGNATURE_DEF_MAP, signature_map(model.plan.path)
        return response

    async def _get_status(self, request: Any, context: Any) -> Any:
        model, named = self._specified(request.model_spec)
        versions = [model.plan.version] if named else sorted(self._inference.models.versions, reverse=True)
        response = message(SERVING, "GetModelStatusResponse")()
        for version in versions:
            response.model_version_status.add(version=version, state=_AVAILABLE)
        return response

    async def _run(
        self, model: LoadedModel, signature: Signature, tensors: dict[str, Array], named: bool, context: Any
    ) -> Any:
        prediction = Prediction(signature, tensors, rows=False)
        return await self._inference.infer(model, prediction, named=named, seconds=context.time_remaining())

    def _model_of(self, name: str, version: str) -> LoadedModel:
        return served_model(self._inference.models, {"name": name, **({"version": version} if version else {})})

    def _specified(self, spec: Any) -> tuple[LoadedModel, bool]:
        """The version that a `ModelSpec` names, and whether it names one."""
        models, choice = self._inference.models, spec.WhichOneof("version_choice")
        version = spec.version.value if choice == "version" else None
        model = models.named(version, spec.version_label if choice == "version_label" else None)
        if spec.name != models.plan.name or model is None:
            servable = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
            raise HttpError(f"Servable not found for request: {servable}", 404)
        return model, choice is not None

    def _say_model(self, spec: Any, model: LoadedModel, signature: str) -> None:
        spec.name, spec.signature_name = self._inference.models.plan.name, signature
        spec.version.value = model.plan.version


def grpc_server(inference: Inference, address: str, max_body: int) -> Any:
    """A server on an address that several processes may share; `start` begins."""
    options = [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", max_body),
        ("grpc.max_send_message_length", -1),
    ]
    server: Any = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((GrpcApi(inference),))
    if not server.add_insecure_port(address):
        raise OSError(f"{address} is taken by another process")
    return server


def _serialized(response: Any) -> bytes:
    return response.SerializeToString()
