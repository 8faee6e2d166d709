"""What a worker answers: which path goes to what, who is let in, how much at once, how a refusal looks."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson

from ..api.open_inference import InferenceApi
from ..api.openapi import openapi
from ..api.page import page
from ..api.tensorflow_serving import RestApi
from ..api.tensors import Array
from ..model.model_set import Asked, Hosted, Hosting
from ..model.signature import DEFAULT
from ..monitoring.capture import Capture
from ..monitoring.metrics import Metrics
from ..process.settings import Settings
from .auth import check_key
from .connection import Answer, Request
from .decompress import unpacked
from .errors import Refusal

_log = logging.getLogger("trainstack.server")
# Bytes of a body that are read on the event loop, and values that are written there: about a millisecond's worth.
_BODY = 2**17
_VALUES = 2**16
# Seconds that an ending worker has to write requests that are kept; its supervisor grants it one beyond the drain.
_LAST_WORDS = 0.5
# Nothing in them is anybody's secret, and those who ask for them (an orchestrator, a browser) have no key to send.
_OPEN = frozenset({"/", "/healthz", "/v2/health/live", "/v2/health/ready"})
_PAGE_HEAD = b"x-content-type-options: nosniff\r\nx-frame-options: DENY\r\nreferrer-policy: no-referrer\r\n"


class Front:
    """A worker's application.

    Args:
        settings: Limits.
        hosting: What is served first; `serve` replaces it.
        metrics: Where requests are counted.
        health: What the server says of itself.

    Attributes:
        held: Requests that are under way.
    """

    def __init__(
        self, settings: Settings, hosting: Hosting, metrics: Metrics, health: Callable[[], dict[str, Any]]
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._mirrored: set[asyncio.Task[None]] = set()
        self.held = 0
        self._capture = Capture(metrics)
        self.serve(hosting)

    def serve(self, hosting: Hosting) -> None:
        """Serve other versions from the next request on; requests under way keep theirs."""
        self.hosting = hosting
        self._rest = RestApi(hosting)
        self._inference = InferenceApi(hosting)
        self._capture.set(hosting.plan.capture, hosting.plan.capture_folder)
        described = b"content-type: application/json\r\n", orjson.dumps(openapi(hosting))
        self._pages = {"/": page, "/openapi.json": lambda: described, "/metrics": self._exposition}

    def finish(self) -> None:
        """Write what is still to be kept of requests that were answered."""
        self._capture.finish(_LAST_WORDS)

    def measure(self) -> None:
        """Bring the gauges up to date."""
        for version, hosted in self.hosting.versions.items():
            for name, index in hosted.drift.indexes().items():
                self._metrics.set("input_drift", version, name, index)

    def _exposition(self) -> tuple[bytes, bytes]:
        self.measure()
        main = self.hosting.main
        about = {
            "name": self.hosting.plan.name,
            "version": str(main.plan.version),
            "digest": main.plan.digest,
            "runtime": main.servable.runtime,
        }
        return b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n", self._metrics.exposition(about)

    def answer(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer one request: now where that is quick, else later."""
        try:
            digests = self.hosting.plan.key_digests
            if digests and request.path not in _OPEN:
                check_key(digests, request.header(b"authorization"), request.header(b"x-api-key"))
            if request.method == "POST" and request.path[:4].lower() in ("/v1/", "/v2/"):
                return self._predict(request)
            head, body, hosted = self._get(request)
            return self._counted(request, hosted, (200, head, body))
        except Exception as exc:  # noqa: BLE001 (whatever it is, the client gets no stack trace; the log does)
            return self._failed(request, exc)

    def scraped(self, request: Request) -> Answer:
        """Answer a request to the port for metrics, where no key is asked for and nothing else is told."""
        try:
            if request.path == "/metrics":
                head, body, hosted = self._get(request)
                return self._counted(request, hosted, (200, head, body))
        except Exception as exc:  # noqa: BLE001 (as in `answer`)
            return self._failed(request, exc)
        return self._failed(request, Refusal(f"Not found: {request.path}", 404))

    def refuse(self, refusal: Refusal) -> Answer:
        """The answer to what is no request."""
        return self._refused(refusal)

    def _predict(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        encoding = request.headers.get(b"content-encoding")
        large = encoding is not None and len(request.body) > _BODY
        if encoding is not None and not large:
            request.body = unpacked(request.body, encoding.decode("latin-1").lower(), self._settings.max_body)
        asked = None if large else self._rest.quick(request.path, request.body)
        if asked is None and not large and len(request.body) <= _BODY:
            asked = self._read(request)
        if asked is not None:
            outputs = asked.hosted.now(asked.prediction)
            if outputs is not None and sum(tensor.size for tensor in outputs.values()) <= _VALUES:
                self._noticed(asked, outputs)
                return self._counted(request, asked.hosted, (200, *asked.write(outputs)))
        if self.held >= self._settings.max_queue:
            raise Refusal("too many requests wait already: try again later", 429, retry_after=1)
        self.held += 1
        return self._later(request, asked)

    async def _later(self, request: Request, quick: Asked | None) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            asked = quick or await loop.run_in_executor(None, self._read_large, request)
            seconds = self._settings.deadline
            deadline = time.monotonic() + (seconds if asked.seconds is None else min(seconds, asked.seconds))
            wait = asked.hosted.wait(asked.prediction.signature)
            if time.monotonic() + wait > deadline:
                busy = Refusal("the service is too busy to answer in time", 429, retry_after=math.ceil(wait))
                return self._failed(request, busy)
            outputs = await asked.hosted.run(asked.prediction, deadline)
            self._noticed(asked, outputs)
            large = sum(tensor.size for tensor in outputs.values()) > _VALUES
            head, body = await loop.run_in_executor(None, asked.write, outputs) if large else asked.write(outputs)
            return self._counted(request, asked.hosted, (200, head, body))
        except Exception as exc:  # noqa: BLE001 (as in `answer`)
            return self._failed(request, exc)
        finally:
            self.held -= 1

    def _read_large(self, request: Request) -> Asked:
        encoding = request.headers.get(b"content-encoding")
        if encoding is not None:
            request.body = unpacked(request.body, encoding.decode("latin-1").lower(), self._settings.max_body)
        return self._read(request)

    def _read(self, request: Request) -> Asked:
        if request.path[:4].lower() == "/v1/":
            return self._rest.read(request.path, request.body)
        length = request.header(b"inference-header-content-length")
        return self._inference.read(request.path, request.body, length)

    def _get(self, request: Request) -> tuple[bytes, bytes, Hosted]:
        path, main = request.path, self.hosting.main
        if request.method in ("GET", "HEAD"):
            if path in self._pages:
                head, body = self._pages[path]()
                return head + _PAGE_HEAD + main.head, body, main
            if path == "/healthz":
                return main.json_head, orjson.dumps(self._health()), main
            if path[:4].lower() == "/v1/":
                body, hosted = self._rest.get(path)
                return hosted.json_head, body, hosted
            if path == "/v2" or path.startswith("/v2/"):
                body, hosted = self._inference.get(path)
                return hosted.json_head, body, hosted
        elif path in self._pages or path == "/healthz" or path.startswith("/v2/health/"):
            raise Refusal(f"{path} takes GET only", 405)
        elif path[:4].lower() in ("/v1/", "/v2/"):
            raise Refusal(f"Malformed request: {request.method} {path}")
        raise Refusal(f"Not found: {path}", 404)

    def _noticed(self, asked: Asked, outputs: Mapping[str, Array]) -> None:
        mirror = self.hosting.mirror
        if mirror is not None and mirror is not asked.hosted and not asked.named:
            self._copy(mirror, asked)
        if asked.prediction.signature.name == DEFAULT:
            asked.hosted.drift.observe(asked.prediction.tensors)
        self._capture.offer(asked, outputs)

    def _copy(self, mirror: Hosted, asked: Asked) -> None:
        """Run a copy on the mirror, whose answer nobody waits for; not when it cannot keep up."""
        version, signature = mirror.plan.version, asked.prediction.signature
        if mirror.servable.signatures.get(signature.name) != signature or len(self._mirrored) >= 64:
            self._metrics.add("mirrored", version, "skipped")
            return

        async def run() -> None:
            outcome = "answered"
            try:
                await mirror.run(asked.prediction, time.monotonic() + self._settings.deadline)
            except Refusal:
                outcome = "refused"
            except Exception:  # noqa: BLE001 (a mirror is there to be tried out)
                outcome = "failed"
            self._metrics.add("mirrored", version, outcome)

        task = asyncio.get_running_loop().create_task(run())
        self._mirrored.add(task)
        task.add_done_callback(self._mirrored.discard)

    def _failed(self, request: Request, exc: Exception) -> Answer:
        if not isinstance(exc, Refusal):
            _log.error("%s failed", request.method, exc_info=exc)
            exc = Refusal("internal error: the reason is in the service's log", 500)
        return self._counted(request, self.hosting.main, self._refused(exc))

    def _refused(self, refusal: Refusal) -> Answer:
        head = self.hosting.main.json_head
        if refusal.retry_after is not None:
            head += b"retry-after: %d\r\n" % refusal.retry_after
        if refusal.status == 401:
            head += b"www-authenticate: Bearer\r\n"
        if refusal.status == 405:
            head += b"allow: GET\r\n"
        # A message may quote what no UTF-8 carries.
        text = str(refusal).encode(errors="replace").decode()
        return refusal.status, head, orjson.dumps({"error": text})

    def _counted(self, request: Request, hosted: Hosted, answer: Answer) -> Answer:
        self._metrics.count(request.path, hosted.plan.version, answer[0], time.perf_counter() - request.begun)
        return answer
