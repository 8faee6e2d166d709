"""Our own router behind uvicorn with httptools and uvloop instead of our own connection code: a plain ASGI application.

Usage: `python uvicorn_router.py MODEL FOLDER PORT`, where FOLDER is for conversions.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import uvicorn

from trainstack.server.api.router import Router
from trainstack.server.http.memory_budget import MemoryBudget
from trainstack.server.http.messages import Request, Response
from trainstack.server.model.model_set import load
from trainstack.server.monitoring.metrics import Metrics
from trainstack.server.runtime.conversion import ensure
from trainstack.server.settings import parse


@lru_cache(1)
def router() -> Router:
    """The router of one worker process."""
    folder = Path(os.environ["FOLDER"])
    settings = parse(["--model-path", os.environ["MODEL"], "--model-name", "m"])
    plan = settings.plan
    pool = ThreadPoolExecutor(settings.threads)
    conversions = ensure(plan, folder)
    models = load(plan, conversions, None, pool, threads=settings.threads, latency=settings.latency)
    return Router(settings, models, Metrics(folder), dict, MemoryBudget(settings.max_held))


@lru_cache(64)
def pairs(encoded: bytes) -> list[tuple[bytes, bytes]]:
    """Header lines as ASGI has them; few differ, so each is taken apart once."""
    return [tuple(line.split(b": ", 1)) for line in encoded.splitlines()]


async def app(scope, receive, send):
    """Answer one request."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                router()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    begun = time.perf_counter()
    message = await receive()
    body = message["body"]
    if message.get("more_body"):
        parts = [body]
        while message.get("more_body"):
            message = await receive()
            parts.append(message["body"])
        body = b"".join(parts)
    request = Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        dict(scope["headers"]),
        body,
        begun,
        scope["query_string"].decode("latin-1"),
    )
    response = router().answer(request)
    if not isinstance(response, Response):
        response = await response
    headers = [*pairs(response.headers.encoded), (b"content-length", b"%d" % len(response.body))]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


if __name__ == "__main__":
    os.environ["MODEL"], os.environ["FOLDER"] = sys.argv[1:3]
    Path(sys.argv[2]).mkdir(exist_ok=True)
    ensure(parse(["--model-path", sys.argv[1], "--model-name", "m"]).plan, Path(sys.argv[2]))
    uvicorn.run(
        "uvicorn_router:app",
        port=int(sys.argv[3]),
        workers=2,
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="error",
    )
