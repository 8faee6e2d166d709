"""The table of the service's endpoints. Whoever adds one adds a line here, and its handler where its kind are.

Dispatch, the methods that a path takes (405), the check of keys, what the port for metrics answers and the OpenAPI
document all follow from this table. A handler takes the request, with its query, and what stands for the placeholders
of the path; it gives what is `DirectResponse` at once, or an `InferenceCall` for the router to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..http.messages import Headers, Request
from ..http.routes import Route
from ..model.model_set import InferenceCall, ModelSet
from ..monitoring.metrics import Metrics
from .direct_response import DirectResponse, Parameters
from .open_inference import OpenInferenceApi
from .openapi import infer_schema, openapi, predict_schema
from .page import HEADERS, page
from .tensorflow_serving import TensorFlowServingApi
from .triton_extensions import TritonExtensionsApi

Handler = Callable[[Request, Parameters], DirectResponse | InferenceCall]

_SAFE = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}
_HTML = HEADERS + Headers(_SAFE)
_JSON = Headers({"content-type": "application/json", **_SAFE})
_TEXT = Headers({"content-type": "text/plain; version=0.0.4; charset=utf-8", **_SAFE})
_VERSION = r"/versions/{version:\d+}"
_LABEL = "/labels/{label:[^/:]+}"
_ANY = r"{rest:(/.*)?}"


@dataclass
class Service:
    """What the handlers answer from.

    Attributes:
        models: The versions that are served.
        metrics: What was counted.
        health: Says how the server does.
    """

    models: ModelSet
    metrics: Metrics
    health: Callable[[], Mapping[str, Any]]

    def measure(self) -> None:
        """Bring the gauges up to date."""
        for version, model in self.models.versions.items():
            model.measure(self.metrics)
            for name, index in model.drift.indexes().items():
                self.metrics.set("input_drift", version, name, index)


def endpoints(service: Service) -> Sequence[Route[Handler]]:
    """The endpoints over one set of models, the more general ones last."""
    models = service.models

    def show_page(request: Request, parameters: Parameters) -> DirectResponse:
        return DirectResponse(models.main, page(), _HTML)

    def show_health(request: Request, parameters: Parameters) -> DirectResponse:
        return DirectResponse(models.main, orjson.dumps(service.health()))

    def show_metrics(request: Request, parameters: Parameters) -> DirectResponse:
        service.measure()
        main = models.main
        labels = {
            "name": models.plan.name,
            "version": str(main.plan.version),
            "digest": main.plan.digest,
            "runtime": main.servable.runtime,
        }
        return DirectResponse(main, service.metrics.exposition(labels), _TEXT)

    def show_openapi(request: Request, parameters: Parameters) -> DirectResponse:
        return DirectResponse(models.main, document, _JSON)

    routes: Sequence[Route[Handler]] = [
        # Nothing in them is anybody's secret, and who asks for them (an orchestrator, a browser) has no key to send.
        Route(method="GET", path="/", handler=show_page, needs_key=False),
        Route(
            method="GET", path="/healthz", handler=show_health, needs_key=False,
            operation="health", summary="Which model is served, by what",
        ),
        Route(
            method="GET", path="/metrics", handler=show_metrics, on_metrics_port=True,
            operation="metrics", summary="Metrics for Prometheus", media_type="text/plain",
        ),
        Route(method="GET", path="/openapi.json", handler=show_openapi),
        *_tensorflow_serving(TensorFlowServingApi(models)),
        *_triton_extensions(TritonExtensionsApi(models, service.metrics)),
        *_open_inference(OpenInferenceApi(models)),
    ]  # fmt: skip
    document = orjson.dumps(openapi(routes, models))
    return routes


def _tensorflow_serving(api: TensorFlowServingApi) -> Sequence[Route[Handler]]:
    """https://www.tensorflow.org/tfx/serving/api_rest: letters of its paths are of any case."""
    model = "/v1/models/{name:[^/:]+}"
    routes: list[Route[Handler]] = [
        Route(
            method="GET", path=model, handler=api.status, any_case=True,
            operation="status", summary="Status of the model's versions",
        ),
        Route(
            method="GET", path=f"{model}/metadata", handler=api.metadata, any_case=True,
            operation="metadata", summary="The model's signatures",
        ),
        Route(
            method="POST", path=f"{model}:predict", handler=api.predict, any_case=True,
            operation="predict", summary="Predict, in rows or columns", request_schema=predict_schema,
        ),
        Route(method="POST", path=f"{model}:classify", handler=api.classify, any_case=True),
        Route(method="POST", path=f"{model}:regress", handler=api.regress, any_case=True),
    ]  # fmt: skip
    for selector in (_VERSION, _LABEL):
        routes += [
            Route(method="GET", path=f"{model}{selector}", handler=api.status, any_case=True),
            Route(method="GET", path=f"{model}{selector}/metadata", handler=api.metadata, any_case=True),
            Route(method="POST", path=f"{model}{selector}:predict", handler=api.predict, any_case=True),
            Route(method="POST", path=f"{model}{selector}:classify", handler=api.classify, any_case=True),
            Route(method="POST", path=f"{model}{selector}:regress", handler=api.regress, any_case=True),
        ]
    routes.append(Route(method="GET", path="/v1/models{slash:/?}", handler=api.nameless, any_case=True))
    routes.append(Route(method="*", path=f"/v1{_ANY}", handler=api.malformed, any_case=True))
    return routes


def _triton_extensions(api: TritonExtensionsApi) -> Sequence[Route[Handler]]:
    """https://github.com/triton-inference-server/server/tree/main/docs/protocol: those served, then the others."""
    model, version = "/v2/models/{name}", "/versions/{version}"
    routes: list[Route[Handler]] = [
        Route(method="GET", path="/v2/models/stats", handler=api.statistics),
        Route(
            method="GET", path=f"{model}/stats", handler=api.statistics,
            operation="statistics", summary="What the model's versions have computed",
        ),
        Route(method="GET", path=f"{model}{version}/stats", handler=api.statistics),
        Route(
            method="GET", path=f"{model}/config", handler=api.config,
            operation="config", summary="The model's configuration",
        ),
        Route(method="GET", path=f"{model}{version}/config", handler=api.config),
        Route(method="POST", path="/v2/repository/index", handler=api.index),
        Route(method="POST", path="/v2/repository/models/{name}/{verb:load|unload}", handler=api.read_only),
    ]  # fmt: skip
    memory = "/v2/{kind:system|cuda}sharedmemory{region:(/region/[^/]+)?}"
    for method, path in (
        ("GET", f"{memory}/status"),
        ("POST", f"{memory}/{{verb:register|unregister}}"),
        ("GET", "/v2/trace/setting"),
        ("POST", "/v2/trace/setting"),
        ("GET", f"{model}/trace/setting"),
        ("POST", f"{model}/trace/setting"),
        ("GET", "/v2/logging"),
        ("POST", "/v2/logging"),
        ("POST", f"{model}{{selector:(/versions/[^/]+)?}}/{{verb:generate|generate_stream}}"),
    ):
        routes.append(Route(method=method, path=path, handler=api.unserved))
    return routes


def _open_inference(api: OpenInferenceApi) -> Sequence[Route[Handler]]:
    """https://github.com/kserve/open-inference-protocol."""
    model, version = "/v2/models/{name}", "/versions/{version}"
    return [
        Route(method="GET", path="/v2", handler=api.server, operation="server", summary="The server"),
        Route(method="GET", path="/v2/", handler=api.server),
        Route(
            method="GET", path="/v2/health/live", handler=api.live, needs_key=False,
            operation="live", summary="Whether the server is alive",
        ),
        Route(
            method="GET", path="/v2/health/ready", handler=api.ready, needs_key=False,
            operation="ready", summary="Whether the server is ready",
        ),
        Route(method="GET", path=model, handler=api.model, operation="model", summary="The model"),
        Route(
            method="GET", path=f"{model}/ready", handler=api.model_ready,
            operation="modelReady", summary="Whether the model is ready",
        ),
        Route(
            method="POST", path=f"{model}/infer", handler=api.infer,
            operation="infer", summary="Infer, by the Open Inference Protocol", request_schema=infer_schema,
        ),
        Route(method="GET", path=f"{model}{version}", handler=api.model),
        Route(method="GET", path=f"{model}{version}/ready", handler=api.model_ready),
        Route(method="POST", path=f"{model}{version}/infer", handler=api.infer),
    ]  # fmt: skip
