"""The HTTP side: every path, what goes to which, and how a refusal looks on the wire."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from .body import read_body
from .refusal import Refusal
from .rest import RestApi
from .saved_model import SavedModel
from .settings import Settings

_log = logging.getLogger("trainstack.serving")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def load_app(settings: Settings) -> Starlette:
    """Load and warm the model, then make the application that answers for it.

    Raises:
        ValueError: The folder holds no SavedModel, or the model refuses its own sample input.
    """
    model = SavedModel(settings.model_path, threads=settings.threads)
    sample = json.loads(settings.sample_input.read_bytes()) if settings.sample_input else None
    model.warm_up(sample)
    return make_app(settings, RestApi(settings.model_name, settings.model_version, model))


def make_app(settings: Settings, api: RestApi) -> Starlette:
    """Make the application around an API that is ready to answer."""
    # Off the event loop: a prediction blocks, and health must answer meanwhile. No more at once than
    # TensorFlow has threads for, or they only wait for each other.
    pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="predict")
    identity = {
        "status": "ok",
        "name": settings.model_name,
        "version": settings.model_version,
        "digest": settings.model_digest,
        # The process that was started; this one is its worker.
        "server": os.getppid(),
    }
    headers = {"X-Model-Version": str(settings.model_version), "X-Model-Digest": settings.model_digest}

    def answer(body: bytes, status: int = 200) -> Response:
        return Response(body, status, headers, media_type="application/json")

    def refuse(refusal: Refusal) -> Response:
        return answer(orjson.dumps({"error": str(refusal)}), refusal.status)

    async def health(request: Request) -> Response:
        return answer(orjson.dumps(identity))

    async def dispatch(request: Request) -> bytes:
        path = request.scope["raw_path"].partition(b"?")[0].decode("latin-1")
        if not path.lower().startswith("/v1/"):
            raise Refusal(f"Not found: {path}", 404)
        if request.method == "GET":
            return api.get(path)
        if request.method != "POST":
            raise Refusal(f"Malformed request: {request.method} {path}")
        body = await read_body(request, limit=settings.max_body, seconds=settings.body_timeout)
        return await asyncio.get_running_loop().run_in_executor(pool, api.post, path, body)

    async def rest(request: Request) -> Response:
        try:
            return answer(await dispatch(request))
        except Refusal as refusal:
            return refuse(refusal)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:  # noqa: BLE001 (whatever it is, the client gets no stack trace; the log does)
            _log.exception("%s %s failed", request.method, request.url.path)
            return refuse(Refusal("internal error: the reason is in the service's log", 500))

    return Starlette(
        routes=[
            Route("/healthz", health, methods=["GET"]),
            Route("/{path:path}", rest, methods=_METHODS),
        ]
    )
