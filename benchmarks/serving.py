"""A served network beside what a user would serve it with, and beside a server that only says hello.

Needs `wrk`, and `vegeta` for latencies at 70 % of what a server does at most: only requests by the clock show them.
Makes an environment for the other servers the first time (minutes), below the cache. Every server has two processes
where it can, gets the same bodies, and they are measured in turns. Usage: `python -m benchmarks.serving [--rounds N]
[--seconds N] [--only NAME …] [--endurance SECONDS]`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import serving_endurance
from benchmarks.machine import description, note
from trainstack.core.environments import environment
from trainstack.storage.cache import cache_folder

HERE = Path(__file__).parent
PEERS = HERE / "serving_scripts"
SERVER = HERE.parents[0] / "components" / "trainstack" / "server"
# MLServer from 1.7 on wants a newer protobuf than this TensorFlow takes.
PACKAGES = (
    "tensorflow-cpu==2.15.1", "mlflow>=2.17", "mlserver==1.6.1", "bentoml>=1.4", "litserve>=0.2.10", "fastapi",
    "uvicorn[standard]", "granian[uvloop]==2.8.7", "setuptools<81",
)  # fmt: skip
ROWS = (1, 32)
CONNECTIONS = (1, 8, 64)
WARM_UP = 2  # Seconds for each number of rows.
_WRK = """
wrk.method = "POST"
local file = io.open(os.getenv("BODY"), "rb"); wrk.body = file:read("*a"); file:close()
for name, value in string.gmatch(os.getenv("HEADERS"), "([^:\\n]+): ([^\\n]+)") do wrk.headers[name] = value end
"""


@dataclass
class Server:
    """One server to measure.

    Attributes:
        name: What it is called.
        command: How it is started, on `{port}`.
        path: Where predictions are posted to.
        body: Which body it takes: `rows`, `v2`, `binary`.
        python: `ours` or `peers`.
    """

    name: str
    command: list[str]
    path: str
    body: str = "rows"
    python: str = "peers"
    variables: dict[str, str] = field(default_factory=dict[str, str])


_OURS = ["{python}", str(SERVER), "--model-path", "{model}", "--model-name", "m", "--port", "{port}", "--workers", "2"]
_MLFLOW = ["{bin}/mlflow", "models", "serve", "-m", "{folder}/mlflow", "--port", "{port}", "--env-manager", "local"]
_BENTOML = ["{bin}/bentoml", "serve", "bentoml_service:Mnist", "--working-dir", str(PEERS), "--port", "{port}"]
_FASTAPI = ["{bin}/uvicorn", "fastapi_tensorflow:app", "--app-dir", str(PEERS), "--port", "{port}", "--workers", "2"]
_GRANIAN = ["{bin}/granian", "--interface", "rsgi", "--workers", "2", "--no-ws", "--no-log", "--port", "{port}"]
_UVICORN = ["{python}", str(PEERS / "uvicorn_router.py"), "{model}", "{folder}/uvicorn", "{port}"]
_UVICORN_PATH = os.pathsep.join(["{uvicorn}", str(SERVER.parents[1]), str(PEERS)])
SERVERS = [
    Server("ours", _OURS, "/v1/models/m:predict", python="ours"),
    Server("ours, binary", _OURS, "/v2/models/m/infer", "binary", "ours"),
    # The same router behind the connections of uvicorn: what our own connection code is worth.
    *(
        Server(f"uvicorn{kind}", _UVICORN, path, body, "ours", {"PYTHONPATH": _UVICORN_PATH})
        for kind, path, body in (
            ("", "/v1/models/m:predict", "rows"),
            (", binary", "/v2/models/m/infer", "binary"),
        )
    ),
    Server("MLflow", [*_MLFLOW, "--workers", "2"], "/invocations", "mlflow"),
    Server(
        "MLServer",
        ["{bin}/mlserver", "start", "{folder}/mlserver"],
        "/v2/models/m/infer",
        "v2",
        variables={"PYTHONPATH": str(PEERS)},
    ),
    Server("BentoML", _BENTOML, "/predict"),
    Server("LitServe", ["{python}", str(PEERS / "litserve_server.py"), "{port}"], "/predict"),
    Server("FastAPI", [*_FASTAPI, "--log-level", "error"], "/predict"),
    Server("hello", [*_GRANIAN, "--loop", "uvloop", "--working-dir", str(PEERS), "granian_hello:app"], "/"),
]


@dataclass(frozen=True)
class Found:
    """What `wrk` found: requests a second, latencies in milliseconds, answers that were none."""

    rate: float
    half: float
    most: float
    wrong: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A served network beside other servers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[server.name for server in SERVERS])
    parser.add_argument("--endurance", type=int, default=0, help="seconds of the endurance test; 0 for none")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not on PATH: install it (Debian: apt-get install wrk)")
    print(description())
    peers = _peers()
    ours = _ours()
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as name:
        folder = Path(name)
        subprocess.run([peers, PEERS / "save_models.py", folder], check=True, capture_output=True)
        bodies = _bodies(folder)
        (folder / "wrk.lua").write_text(_WRK)
        _compare(options, peers, ours, folder, bodies)
        if options.endurance:
            models = [folder / "model", folder / "other"]
            body = Path(bodies["rows-1"]).read_bytes()
            print(serving_endurance.run(ours, SERVER, models, body, folder, options.endurance))


def _compare(options: argparse.Namespace, peers: Path, ours: Path, folder: Path, bodies: dict[str, str]) -> None:
    results: dict[tuple[str, int, int], list[Found]] = {}
    calm: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.rounds):
        for server in [one for one in SERVERS if one.name in options.only]:
            with _started(server, peers, ours, folder) as port:
                for rows in ROWS:  # Every server warm, whatever it does at its first requests.
                    _load(server, port, rows, 8, WARM_UP, folder, bodies)
                for rows in ROWS:
                    for connections in CONNECTIONS:
                        found = _load(server, port, rows, connections, options.seconds, folder, bodies)
                        results.setdefault((server.name, rows, connections), []).append(found)
                        print(f"{server.name}, {rows} rows, {connections} connections: {found}", file=sys.stderr)
                if shutil.which("vegeta"):
                    rate = 0.7 * max(found.rate for key, [*_, found] in results.items() if key[:2] == (server.name, 1))
                    calm.setdefault(server.name, []).append(_calmly(server, port, rate, options.seconds, bodies))
    print("| server | rows | connections | requests/s | p50 ms | p99 ms | wrong |\n|---|---|---|---|---|---|---|")
    for (name, rows, connections), found in results.items():
        rate, half, most = (statistics.median(getattr(one, what) for one in found) for what in ("rate", "half", "most"))
        wrong = sum(one.wrong for one in found)
        print(f"| {name} | {rows} | {connections} | {rate:.0f} | {half:.2f} | {most:.2f} | {wrong} |")
    _note_best(results)
    print("\n| server, single rows at 70 % of its most | p50 ms | p99 ms | p99 / p50 |\n|---|---|---|---|")
    for name, found in calm.items():
        half, most = (statistics.median(one[index] for one in found) for index in (0, 1))
        print(f"| {name} | {half:.2f} | {most:.2f} | {most / half:.1f} |")


def _note_best(results: dict[tuple[str, int, int], list[Found]]) -> None:
    """Hand our requests a second over those of the best other server to the table, for each load."""
    rates = {key: statistics.median(one.rate for one in found) for key, found in results.items()}
    for rows, connections in sorted({key[1:] for key in rates}):
        others = [rate for (name, *load), rate in rates.items() if load == [rows, connections] and _is_peer(name)]
        ours = rates.get(("ours", rows, connections))
        if ours is not None and others:
            what = f"serving, {rows} rows, {connections} connections: ours / the best other"
            note(what, ours / max(others), f"{ours:.0f} /s", f"{max(others):.0f} /s", "at least 5", more_is_better=True)


def _is_peer(name: str) -> bool:
    return not name.startswith(("ours", "uvicorn")) and "hello" not in name


def _calmly(server: Server, port: int, rate: float, seconds: int, bodies: dict[str, str]) -> tuple[float, float]:
    """Latencies of single rows that come by the clock, whatever the server does.

    Args:
        server: The server.
        port: Where it listens.
        rate: Requests a second.
        seconds: How long.
        bodies: The files with the requests' bodies.

    Returns:
        The median and the 99th percentile, ms.
    """
    headers = bodies.get(f"{server.body}-1-headers", "Content-Type: application/json")
    attack = ["vegeta", "attack", f"-rate={rate:.0f}", f"-duration={seconds}s", "-max-workers=64", "-body"]
    attack += [bodies[f"{server.body}-1"], *(f"-header={line}" for line in headers.splitlines())]
    target = f"POST http://127.0.0.1:{port}{server.path}".encode()
    shots = subprocess.run(attack, input=target, capture_output=True, check=True).stdout
    report = subprocess.run(["vegeta", "report", "-type=json"], input=shots, capture_output=True, check=True).stdout
    latencies = json.loads(report)["latencies"]
    return latencies["50th"] / 1e6, latencies["99th"] / 1e6


def _load(
    server: Server, port: int, rows: int, connections: int, seconds: int, folder: Path, bodies: dict[str, str]
) -> Found:
    headers = bodies.get(f"{server.body}-{rows}-headers", "Content-Type: application/json")
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", folder / "wrk.lua",
         f"http://127.0.0.1:{port}{server.path}"],
        env={**os.environ, "BODY": bodies[f"{server.body}-{rows}"], "HEADERS": headers},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = done.stdout
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    latencies = {
        share: float(number) * scale[unit] for share, number, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", said)
    }
    wrong = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", said))
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
    return Found(rate, latencies.get("50", 0.0), latencies.get("99", 0.0), wrong)


@contextmanager
def _started(server: Server, peers: Path, ours: Path, folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    python = ours if server.python == "ours" else peers
    filled = {"python": python, "bin": python.parent, "port": port, "model": folder / "model", "folder": folder}
    filled["uvicorn"] = _uvicorn()
    if server.name == "MLServer":
        _mlserver_settings(folder / "mlserver", port)
    command = [part.format(**filled) for part in server.command]
    variables = {name: value.format(**filled) for name, value in server.variables.items()}
    variables = {**os.environ, **variables, "MODEL": str(folder / "model"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    variables["PATH"] = f"{python.parent}:{os.environ['PATH']}"
    log = (folder / f"{server.name}.log").open("wb")
    process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        _await(server, port, folder, process)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        log.close()


def _await(server: Server, port: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
    body = Path(folder / f"{server.body}-1").read_bytes()
    headers = (folder / f"{server.body}-1-headers").read_text() if server.body == "binary" else ""
    for _ in range(600):
        if process.poll() is not None:
            break
        request = urllib.request.Request(f"http://127.0.0.1:{port}{server.path}", body)
        for line in headers.splitlines() or ["Content-Type: application/json"]:
            request.add_header(*line.split(": "))
        with suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
            if answer.status == 200:
                return
        time.sleep(0.3)
    sys.exit(f"{server.name} did not start:\n{(folder / f'{server.name}.log').read_text()[-2000:]}")


def _bodies(folder: Path) -> dict[str, str]:
    """The same rows for all: a fifth of 784 pixels are not dark, as in MNIST."""
    random.seed(1)
    single = struct.Struct("f")
    found: dict[str, str] = {}
    for rows in ROWS:
        values = [
            [
                single.unpack(single.pack(random.randrange(1, 256) / 255))[0] if random.random() < 0.19 else 0.0
                for _ in range(784)
            ]
            for _ in range(rows)
        ]
        flat = [value for row in values for value in row]
        shape = [rows, 784]
        packed = struct.pack(f"<{len(flat)}f", *flat)
        about = {"name": "x", "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": len(packed)}}
        head = json.dumps({"inputs": [about], "parameters": {"binary_data_output": True}}).encode()
        contents = {
            "rows": json.dumps({"instances": values}).encode(),
            "mlflow": json.dumps({"inputs": values}).encode(),
            "v2": json.dumps({"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": flat}]}).encode(),
            "binary": head + packed,
        }
        for kind, content in contents.items():
            file = folder / f"{kind}-{rows}"
            file.write_bytes(content)
            found[file.name] = str(file)
        headers = f"Content-Type: application/octet-stream\nInference-Header-Content-Length: {len(head)}"
        (folder / f"binary-{rows}-headers").write_text(headers)
        found[f"binary-{rows}-headers"] = headers
    return found


def _mlserver_settings(folder: Path, port: int) -> None:
    folder.mkdir(exist_ok=True)
    settings = {
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "m", "implementation": "mlserver_runtime.Mnist"}
    (folder / "model-settings.json").write_text(json.dumps(model))


def _ours() -> Path:
    spec = environment.get_curated("serving-2.15")
    return environment.build(spec, environment.lock(spec)).python


def _uvicorn() -> Path:
    """Packages of uvicorn to put beside those of our own server's environment; installed once."""
    folder = cache_folder() / "benchmarks" / "uvicorn"
    if not folder.exists():
        uv = Path(sys.executable).with_name("uv")
        target = ["--target", folder, "--python-version", "3.11"]
        subprocess.run([uv, "pip", "install", "-q", *target, "uvicorn==0.54.0"], check=True)
    return folder


def _peers() -> Path:
    """The other servers' environment; made once."""
    folder = cache_folder() / "benchmarks" / "serving-peers"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        uv = [Path(sys.executable).with_name("uv")]
        subprocess.run([*uv, "venv", "-q", "--clear", "--python", "3.11", folder], check=True)
        subprocess.run([*uv, "pip", "install", "-q", "--python", python, *PACKAGES], check=True)
        (folder / "made").touch()
    return python


if __name__ == "__main__":
    main()
