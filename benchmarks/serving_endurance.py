"""A server at full load while its model is replaced, rolled back and a worker killed: nothing wrong, nothing lost.

Clients keep their connections, and compare each answer with what the version that gave it answered at the start. A
request counts as lost when its connection breaks, and only those that the killed worker held may.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CLIENTS = 8
_REPLACEMENTS = 3


@dataclass
class Report:
    """What came of it.

    Attributes:
        requests: Answers.
        wrong: Answers that were not those of the version that they name, or refusals.
        lost: Requests whose connection broke while no worker was killed.
        lost_at_kill: Those that broke when one was.
        memory: Resident memory of all of the server's processes, in MiB: after the first replacement, and at the end.
        versions: Versions that answered.
    """

    requests: int = 0
    wrong: int = 0
    lost: int = 0
    lost_at_kill: int = 0
    memory: tuple[float, float] = (0.0, 0.0)
    versions: set[str] = field(default_factory=set[str])


def run(python: Path, server: Path, models: list[Path], body: bytes, folder: Path, seconds: float) -> Report:
    """Put a server under load.

    Args:
        python: The interpreter of a serving environment.
        server: The server's folder.
        models: Two SavedModels that answer differently.
        body: A predict body that both take.
        folder: Where to keep its files.
        seconds: For how long.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plan = folder / "plan.json"
    _serve(plan, models, 1)
    command = [
        str(python),
        str(server),
        "--plan",
        str(plan),
        "--port",
        str(port),
        "--state",
        str(folder),
        "--workers",
        "2",
    ]
    with (folder / "endurance.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    report = Report()
    try:
        _await(port, process, 1)
        known = {str(version): _ask(port, f"/versions/{version}", body) for version in (1, 2)}
        _work(process, port, plan, models, body, known, seconds, report)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    return report


def _work(
    process: subprocess.Popen[bytes],
    port: int,
    plan: Path,
    models: list[Path],
    body: bytes,
    known: dict[str, Any],
    seconds: float,
    report: Report,
) -> None:
    done = threading.Event()
    killed: list[float] = []
    lock = threading.Lock()
    clients = [
        threading.Thread(target=_client, args=(port, body, known, done, killed, report, lock)) for _ in range(_CLIENTS)
    ]
    for client in clients:
        client.start()
    first = 0.0
    step = seconds / (_REPLACEMENTS + 2)
    for replacement in range(_REPLACEMENTS):
        time.sleep(step)
        version = 2 if replacement % 2 == 0 else 1
        _serve(plan, models, version)
        _await(port, process, version)
        first = first or _memory(process.pid)
    time.sleep(step)
    worker = _children(process.pid)[0]
    killed.append(time.monotonic())
    os.kill(worker, signal.SIGKILL)
    time.sleep(step)
    report.memory = (first, _memory(process.pid))
    done.set()
    for client in clients:
        client.join(60)


def _client(
    port: int,
    body: bytes,
    known: dict[str, Any],
    done: threading.Event,
    killed: list[float],
    report: Report,
    lock: threading.Lock,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    requests = wrong = 0
    versions: set[str] = set()
    while not done.is_set():
        begun = time.monotonic()
        try:
            connection.request("POST", "/v1/models/m:predict", body)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            with lock:
                if killed and begun <= killed[0] + 1:
                    report.lost_at_kill += 1
                else:
                    report.lost += 1
            connection.close()
            continue
        version = answer.headers.get("X-Model-Version", "")
        requests += 1
        versions.add(version)
        if answer.status != 200 or not _equal(json.loads(content), known.get(version)):
            wrong += 1
    with lock:
        report.requests += requests
        report.wrong += wrong
        report.versions |= versions
    connection.close()


def _equal(one: Any, other: Any) -> bool:
    """Equal numbers, but for what another order of additions in a batch does."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-5 * max(1.0, abs(one))
    return one == other


def _serve(plan: Path, models: list[Path], version: int) -> None:
    versions = [
        {"version": number, "path": str(path), "digest": f"digest-{number}", "weight": int(number == version)}
        for number, path in enumerate(models, 1)
    ]
    aside = plan.with_suffix(".new")
    aside.write_text(json.dumps({"name": "m", "versions": versions}))
    aside.replace(plan)


def _ask(port: int, version: str, body: bytes) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/m{version}:predict", body, timeout=30) as answer:
        return json.load(answer)


def _await(port: int, process: subprocess.Popen[bytes], version: int) -> None:
    for _ in range(1200):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
                said = json.load(answer)
            if said["version"] == version and said["plan"] is not None:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("not ready in two minutes")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _memory(pid: int) -> float:
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (pid, *_children(pid))]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
