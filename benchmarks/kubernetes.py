"""Many runs that wait on a cluster: what their watchers cost, beside asking for each job once a second.

Real jobs in a namespace of their own, held back by a quota of no pods. All run in one process, each as its supervisor
drives it: submitted, watched, its reasons heard. Every request that leaves the process is counted. Needs KUBECONFIG.
Usage: `python -m benchmarks.kubernetes [--runs N] [--seconds S]`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.machine import description, note
from trainstack.agent.plan import LaunchPlan, Single
from trainstack.errors import TrainstackError
from trainstack.targets.base import Capacity, NodeGroupSpec, RunRef, Runtime
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.target import KubernetesTarget

NAMESPACE = "trainstack-benchmark"
NOWHERE = Runtime("/opt/environment/bin/python", f"registry.example.com/none@sha256:{'0' * 64}")


class Over(Exception):
    """The benchmark has seen enough."""


class Requests:
    """Counts what leaves this process for an API server."""

    def __init__(self) -> None:
        from kubernetes.client import rest

        self.count = 0
        client: Any = rest.RESTClientObject
        before = client.request

        def counted(*given: Any, **named: Any) -> Any:
            self.count += 1
            return before(*given, **named)

        client.request = counted


def resident() -> float:
    """Memory of this process, MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor() -> float:
    """Seconds of processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def held_back(access: KubernetesApi) -> Generator[None]:
    """A namespace in which no pod is made, gone afterwards."""
    access.ensure_namespace()
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    try:
        with contextlib.suppress(Exception):
            access.core.create_namespaced_resource_quota(NAMESPACE, quota)
        time.sleep(2)
        yield
    finally:
        access.core.delete_namespace(NAMESPACE)


def home(folder: Path, number: int) -> RunRef:
    """The directory of a run, with its plan."""
    root = folder / f"{number:016x}"
    (root / "logs").mkdir(parents=True)
    plan = LaunchPlan(Single(), script="train.py", code="/c", outputs="/o", reports="/r")
    plan.write(root / "launch.json")
    return RunRef(root, "benchmark")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Runs that wait on a cluster.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they are looked at once all wait")
    options = parser.parse_args()
    if not os.environ.get("KUBECONFIG"):
        sys.exit("this needs a cluster: set KUBECONFIG")
    print(description())
    cluster = KubernetesConfig(namespace=NAMESPACE)
    access = KubernetesApi(cluster)
    access.check()
    counted = Requests()
    over = threading.Event()
    told: dict[int, str] = {}

    def drive(number: int, place: RunRef) -> None:
        """One run as its supervisor drives it, until this is over."""

        def waiting(reason: str) -> None:
            told[number] = reason
            if over.is_set():
                raise Over

        group = NodeGroupSpec(1, 1, NOWHERE, Capacity(cpus=1, memory_gib=1), name="waits", waiting=waiting)
        with contextlib.suppress(Over):
            KubernetesTarget(cluster).start(place, group)

    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as folder, held_back(access):
        places = [home(Path(folder), number) for number in range(options.runs)]
        before, began, used, asked = resident(), time.monotonic(), processor(), counted.count
        with ThreadPoolExecutor(options.runs) as pool:
            try:
                runs = [pool.submit(drive, number, place) for number, place in enumerate(places)]
                while sum("exceeded quota" in reason for reason in list(told.values())) < options.runs:
                    if failed := next((run for run in runs if run.done()), None):
                        failed.result()
                    if time.monotonic() - began > 600:
                        raise TrainstackError(f"only {len(told)} of {options.runs} runs wait after 600 s")
                    time.sleep(0.5)
                until, submitting, calls = time.monotonic() - began, processor() - used, counted.count - asked
                began, used, asked = time.monotonic(), processor(), counted.count
                time.sleep(options.seconds)
                watching, watched = processor() - used, counted.count - asked
                passed = time.monotonic() - began
                memory = resident() - before
                job = access.batch.read_namespaced_job(labels.name(places[0]), NAMESPACE, _preload_content=False)
                size = len(job.data)
                polled, polling = asked_each_second(access, places[: max(options.runs // 10, 1)], counted)
            finally:
                over.set()
    minutes = passed / 60
    a_run, polled_a_run = watched / options.runs / minutes, polled * 60
    print(f"{options.runs} runs submitted, all told why they wait: {until:.1f} s, {submitting:.1f} s of processor time")
    print(f"requests a run until then: {calls / options.runs:.1f}")
    rates = f"{a_run:.2f} a run and minute; asking each second {polled_a_run:.0f}"
    print(f"then {watched} requests in {passed:.0f} s, {rates}")
    each, theirs = (f"{1000 * one:.0f} ms" for one in (watching / options.runs / minutes, polling * 60))
    print(f"processor time a run and minute: {each}; asking each second: {theirs}")
    print(f"memory: {memory:.0f} MiB for all, {1024 * memory / options.runs:.0f} KiB a run")
    print(f"a job: {size} bytes of JSON")
    what = f"{options.runs} runs that wait on a cluster, processor time / asking each second"
    ratio = watching / options.runs / minutes / (polling * 60)
    note(what, ratio, f"{each} a run and minute", theirs, "less than a quarter")


def asked_each_second(access: KubernetesApi, places: list[RunRef], counted: Requests) -> tuple[float, float]:
    """Requests and processor time a run and second, of reading each job once a second."""
    began, used, asked = time.monotonic(), processor(), counted.count
    for _ in range(10):
        next_time = time.monotonic() + 1
        for place in places:
            access.batch.read_namespaced_job(labels.name(place), NAMESPACE)
        time.sleep(max(next_time - time.monotonic(), 0))
    passed = time.monotonic() - began
    return (counted.count - asked) / passed / len(places), (processor() - used) / passed / len(places)


if __name__ == "__main__":
    main()
