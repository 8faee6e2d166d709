"""From requests to responses: who is let in, which endpoint answers, how much at once, and what an error looks like."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import orjson

from ..codec.prediction_request import Prediction
from ..codec.signature import DEFAULT
from ..codec.tensors import Array
from ..http.auth import check_key
from ..http.cors import Cors
from ..http.decompress import decompress
from ..http.errors import HttpError
from ..http.host_check import HostCheck
from ..http.memory_budget import MemoryBudget
from ..http.messages import Headers, Request, Response
from ..http.routes import Route, RouteTable
from ..model.model_set import InferenceCall, LoadedModel, ModelSet
from ..monitoring.capture import Capture
from ..monitoring.metrics import Metrics
from ..settings import Settings
from .direct_response import DirectResponse, Parameters
from .endpoints import Handler, Service, endpoints
from .tensorflow_serving import TensorFlowServingApi

_log = logging.getLogger("trainstack.server")
# Bytes of a body that are read on the event loop, and values that are written there: about a millisecond's worth.
_BODY = 2**17
_VALUES = 2**16
# Seconds that an ending worker has to write requests that are kept; its supervisor grants it one beyond the drain.
_FINISH_SECONDS = 0.5
_MIRRORED = 64
# Bytes of a body that is read where nothing takes one.
_SMALL_BODY = 2**16
# What is said of a path or method that there is not.
_OF_ROUTES = (404, 405)


class Router:
    """A worker's application.

    Args:
        settings: Limits.
        models: What is served first; `serve` replaces it.
        metrics: Where requests are counted.
        health: What the server says of itself.
        budget: What counts the bytes of requests, also when they are unpacked.

    Attributes:
        waiting: Requests that are under way.
    """

    def __init__(
        self,
        settings: Settings,
        models: ModelSet,
        metrics: Metrics,
        health: Callable[[], Mapping[str, Any]],
        budget: MemoryBudget,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._budget = budget
        self._mirrored: set[asyncio.Task[None]] = set()
        self.waiting = 0
        self._capture = Capture(metrics)
        self.serve(models)

    def serve(self, models: ModelSet) -> None:
        """Serve other versions from the next request on; requests under way keep theirs."""
        self.models = models
        self._service = Service(models, self._metrics, self._health)
        routes = endpoints(self._service)
        self._routes = RouteTable(routes)
        self._metrics_routes = RouteTable([route for route in routes if route.on_metrics_port])
        # The usual request: its path is compared, its numbers are read without a Python object for each.
        self._usual_path = f"/v1/models/{models.plan.name}:predict"
        self._usual = TensorFlowServingApi(models).read_usual
        self._hosts = HostCheck(models.plan.allowed_hosts)
        self._cors = Cors(models.plan.cors_origins) if models.plan.cors_origins else None
        self._capture.set(models.plan.capture, models.plan.capture_folder)

    def finish(self) -> None:
        """Write what is still to be kept of requests that were answered."""
        self._capture.finish(_FINISH_SECONDS)

    def measure(self) -> None:
        """Bring the gauges up to date."""
        self._service.measure()

    def admit(self, request: Request) -> int:
        """Check a request's head before its body comes; return the most bytes that its body may have."""
        try:
            try:
                route, parameters = self._let_in(request)
            except HttpError as exc:
                if exc.status in _OF_ROUTES and int(request.headers.get(b"content-length", b"0")) <= _SMALL_BODY:
                    # `answer` says so, and the connection stays.
                    return _SMALL_BODY
                raise
        except HttpError as exc:
            self._failed(request, exc)
            if self._cors is not None:
                exc.headers = self._cors.headers(request)
            raise
        request.admitted = route, parameters
        return self._settings.max_body if route.method == "POST" else _SMALL_BODY

    def answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        """Answer one request: now where that is quick, else later."""
        if self._cors is None or b"origin" not in request.headers:
            return self._answer(request)
        return self._answer_page(request, self._cors)

    def _answer_page(self, request: Request, cors: Cors) -> Response | Coroutine[Any, Any, Response]:
        """Answer the script of a web page."""
        headers = Headers(cors.headers(request))
        if request.method == "OPTIONS" and cors.allows(request) and (methods := self._routes.methods(request.path)):
            # Browsers ask without a key.
            return Response(b"", headers=cors.preflight(request, methods))
        answer = self._answer(request)

        async def later(answer: Coroutine[Any, Any, Response]) -> Response:
            response = await answer
            response.headers += headers
            return response

        if isinstance(answer, Response):
            answer.headers += headers
            return answer
        return later(answer)

    def _answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        try:
            route, parameters = request.admitted or self._let_in(request)
            return self._handle(route, request, parameters)
        except Exception as exc:  # noqa: BLE001 (whatever it is, the client gets no stack trace; the log does)
            return self._failed(request, exc)

    def _let_in(self, request: Request) -> tuple[Route[Handler], Parameters]:
        """Find a request's route, unless it is not let in."""
        digests = self.models.plan.key_digests
        if not digests:
            # A web page has no key: where one is asked for, it does not matter by which name.
            is_own_page = self._cors is not None and self._cors.allows(request)
            self._hosts.check(request.headers.get(b"host"), None if is_own_page else request.headers.get(b"origin"))
            return self._find(request)
        try:
            route, parameters = self._find(request)
        except HttpError:
            # Which paths there are is nobody's business who has no key.
            _check_key(request, digests)
            raise
        if route.needs_key:
            _check_key(request, digests)
        return route, parameters

    def _find(self, request: Request) -> tuple[Route[Handler], Parameters]:
        """Find a request's route. A browser that opens the scoring address is shown the page to try the model on."""
        is_visit = request.method == "GET" and request.path.endswith(":predict")
        if is_visit and b"text/html" in request.headers.get(b"accept", b""):
            return self._routes.find("GET", "/")
        return self._routes.find(request.method, request.path)

    def answer_metrics(self, request: Request) -> Response:
        """Answer a request to the port for metrics, where no key is asked for and nothing else is told."""
        try:
            route, parameters = self._metrics_routes.find(request.method, request.path)
            response = self._handle(route, request, parameters)
            if not isinstance(response, Response):
                response.close()
                raise TypeError(f"{route.path} gives an inference, which the port for metrics does not run")  # noqa: TRY301
            return response  # noqa: TRY300 (as in `answer`)
        except Exception as exc:  # noqa: BLE001 (as in `answer`)
            return self._failed(request, exc)

    def refuse(self, error: HttpError) -> Response:
        """The response to bytes that are no request."""
        return self._error_response(error)

    def _handle(
        self, route: Route[Handler], request: Request, parameters: Parameters
    ) -> Response | Coroutine[Any, Any, Response]:
        if route.method == "POST":
            return self._infer(route, request, parameters)
        direct = route.handler(request, parameters)
        if isinstance(direct, InferenceCall):
            raise TypeError(f"{route.path} gives an inference, which only a POST may")
        return self._respond(request, direct)

    def _respond(self, request: Request, direct: DirectResponse) -> Response:
        headers = direct.model.json_headers if direct.headers is None else direct.headers + direct.model.headers
        return self._counted(request, direct.model, Response(direct.body, headers=headers))

    def _infer(
        self, route: Route[Handler], request: Request, parameters: Parameters
    ) -> Response | Coroutine[Any, Any, Response]:
        encoding = request.headers.get(b"content-encoding")
        compressed = encoding is not None and len(request.body) > _BODY
        if encoding is not None and not compressed:
            sent = len(request.body)
            self._decompress(request, encoding)
            self._budget.take(request, len(request.body) - sent)
        call: DirectResponse | InferenceCall | None = None
        if not compressed and request.path == self._usual_path:
            call = self._usual(request, parameters)
        if call is None and not compressed and len(request.body) <= _BODY:
            call = route.handler(request, parameters)
        if isinstance(call, DirectResponse):
            return self._respond(request, call)
        if call is not None:
            outputs = call.model.now(call.prediction)
            if outputs is not None and sum(tensor.size for tensor in outputs.values()) <= _VALUES:
                self._observe(call, outputs)
                return self._counted(request, call.model, call.write(outputs))
        if self.waiting >= self._settings.max_queue:
            raise HttpError("too many requests wait already: try again later", 429, retry_after=1)
        self.waiting += 1
        return self._infer_later(route, request, parameters, call)

    async def infer(
        self, model: LoadedModel, prediction: Prediction, *, named: bool, seconds: float | None
    ) -> Mapping[str, Array]:
        """Compute what came by another way than HTTP, within the same limits.

        Raises:
            HttpError: The model refuses, or too many wait.
        """
        call = InferenceCall(model, prediction, lambda outputs: Response(b""), named, seconds)
        outputs = model.now(prediction)
        if outputs is None:
            if self.waiting >= self._settings.max_queue:
                raise HttpError("too many requests wait already: try again later", 429, retry_after=1)
            self.waiting += 1
            try:
                limit = self._settings.deadline
                outputs = await model.run(prediction, time.monotonic() + min(limit, seconds or limit))
            finally:
                self.waiting -= 1
        self._observe(call, outputs)
        return outputs

    def count(self, path: str, version: int, status: int, seconds: float) -> None:
        """Count a request that came by another way than HTTP."""
        self._metrics.count(path, version, status, seconds)

    async def _infer_later(
        self, route: Route[Handler], request: Request, parameters: Parameters, call: InferenceCall | None
    ) -> Response:
        loop = asyncio.get_running_loop()
        try:
            if call is None:
                sent = len(request.body)
                read = await loop.run_in_executor(None, self._read_large, route, request, parameters)
                self._budget.take(request, len(request.body) - sent)
                if isinstance(read, DirectResponse):
                    return self._respond(request, read)
                call = read
            seconds = self._settings.deadline
            deadline = time.monotonic() + (seconds if call.seconds is None else min(seconds, call.seconds))
            wait = call.model.wait(call.prediction.signature)
            if time.monotonic() + wait > deadline:
                busy = HttpError("the service is too busy to answer in time", 429, retry_after=math.ceil(wait))
                return self._failed(request, busy)
            outputs = await call.model.run(call.prediction, deadline)
            self._observe(call, outputs)
            large = sum(tensor.size for tensor in outputs.values()) > _VALUES
            response = await loop.run_in_executor(None, call.write, outputs) if large else call.write(outputs)
            return self._counted(request, call.model, response)
        except Exception as exc:  # noqa: BLE001 (as in `answer`)
            return self._failed(request, exc)
        finally:
            self.waiting -= 1

    def _read_large(
        self, route: Route[Handler], request: Request, parameters: Parameters
    ) -> DirectResponse | InferenceCall:
        encoding = request.headers.pop(b"content-encoding", None)
        if encoding is not None:
            self._decompress(request, encoding)
        return route.handler(request, parameters)

    def _decompress(self, request: Request, encoding: bytes) -> None:
        request.body = decompress(request.body, encoding.decode("latin-1").lower(), self._settings.max_body)
        request.headers.pop(b"content-encoding", None)

    def _observe(self, call: InferenceCall, outputs: Mapping[str, Array]) -> None:
        mirror = self.models.mirror
        if mirror is not None and mirror is not call.model and not call.is_named:
            self._copy(mirror, call)
        if call.prediction.signature.name == DEFAULT:
            call.model.drift.observe(call.prediction.tensors)
        self._capture.offer(call, outputs)

    def _copy(self, mirror: LoadedModel, call: InferenceCall) -> None:
        """Run a copy on the mirror, whose answer nobody waits for; not when it cannot keep up."""
        version, signature = mirror.plan.version, call.prediction.signature
        if mirror.servable.signatures.get(signature.name) != signature or len(self._mirrored) >= _MIRRORED:
            self._metrics.add("mirrored", version, "skipped")
            return

        async def run() -> None:
            outcome = "answered"
            try:
                await mirror.run(call.prediction, time.monotonic() + self._settings.deadline)
            except HttpError:
                outcome = "refused"
            except Exception:  # noqa: BLE001 (a mirror is there to be tried out)
                outcome = "failed"
            self._metrics.add("mirrored", version, outcome)

        task = asyncio.get_running_loop().create_task(run())
        self._mirrored.add(task)
        task.add_done_callback(self._mirrored.discard)

    def _failed(self, request: Request, exc: Exception) -> Response:
        if not isinstance(exc, HttpError):
            _log.error("%s failed", request.method, exc_info=exc)
            exc = HttpError("internal error: the reason is in the service's log", 500)
        return self._counted(request, self.models.main, self._error_response(exc))

    def _error_response(self, error: HttpError) -> Response:
        headers: dict[str, str | int] = {**error.headers}
        if error.retry_after is not None:
            headers["retry-after"] = error.retry_after
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        if error.allow:
            headers["allow"] = error.allow
        # A message may quote what no UTF-8 carries.
        text = str(error).encode(errors="replace").decode()
        return Response(orjson.dumps({"error": text}), error.status, self.models.main.json_headers + Headers(headers))

    def _counted(self, request: Request, model: LoadedModel, response: Response) -> Response:
        self._metrics.count(request.path, model.plan.version, response.status, time.perf_counter() - request.begun)
        return response


def _check_key(request: Request, digests: Sequence[str]) -> None:
    check_key(digests, request.header(b"authorization"), request.header(b"x-api-key"))


class MetricsPort:
    """The application of the port for metrics: those and nothing else, without a key.

    Args:
        router: What knows the metrics.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def admit(self, request: Request) -> int:
        """Nothing that it answers takes a body worth the name."""
        return _SMALL_BODY

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        return self._router.answer_metrics(request)

    def refuse(self, error: HttpError) -> Response:
        """The response to bytes that are no request."""
        return self._router.refuse(error)
