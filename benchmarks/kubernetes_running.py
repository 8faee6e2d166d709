"""Runs that train on a cluster with a driver: requests that the API server answers for them, a pod and minute.

Each run is submitted by `pulumi up`, which is killed at once: what is counted is the driver's and the kubelet's, as the
API server counts them, less the rate of the same cluster when the runs are gone. Pods print a line a second. Needs
KUBECONFIG, DOCKER_HOST, TRAINSTACK_REGISTRY, TRAINSTACK_BASE_IMAGE and an S3 server that pods reach.
Usage: `python -m benchmarks.kubernetes_running ADDRESS [--pods N]… [--seconds S]`. ADDRESS is a folder of a bucket,
which is emptied.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.core.kubernetes_runs import reachable_endpoint, store_secret
from tests.end_to_end.project import Project, new_project
from tests.kubectl_objects import stand_in
from tests.waiting import until

from benchmarks.machine import description
from trainstack.storage.addresses import open_store

NAMESPACE = "trainstack-benchmark-running"
PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("driven", ts.WorkspaceArgs(
    root=config.require("root"), registry=config.require("registry"), base_image=config.require("base")))
cluster = ts.Compute("cluster", ts.ComputeArgs(
    workspace=workspace, target="kubernetes", vm_size="STANDARD_D1_V2", max_nodes=config.require_int("pods"),
    kubernetes=ts.KubernetesArgs(
        namespace=config.require("namespace"), driver=ts.KubernetesDriver(secret="store")
    ),
))
ts.TrainingRun("ticks", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster,
    environment=ts.Environment("tiny", ts.EnvironmentArgs(curated_name="tensorflow-2.15", compute=cluster)),
    distribution=ts.TensorflowConfiguration(worker_count=config.require_int("pods")),
))
"""
SCRIPT = """
import time
for second in range(1800):
    print("second", second, flush=True)
    time.sleep(1)
"""

# A cluster's own controllers renew their watches of everything else now and then, which is more than a run asks.
_OF_RUNS = frozenset(
    ("pods", "jobs", "services", "endpointslices", "events", "secrets", "configmaps", "serviceaccounts", "nodes")
)


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Ask the cluster."""
    return subprocess.run(["kubectl", *words], capture_output=True, text=True, check=True, input=stdin).stdout


def answered() -> dict[str, float]:
    """How many requests for what runs are made of the API server has answered, by verb and resource."""
    counts: dict[str, float] = {}
    for line in kubectl("get", "--raw", "/metrics").splitlines():
        if line.startswith("apiserver_request_total"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if labels["resource"] not in _OF_RUNS:
                continue
            name = "/".join(filter(None, (labels["verb"], labels["resource"], labels["subresource"])))
            counts[name] = counts.get(name, 0) + float(line.rpartition(" ")[2])
    return counts


def rate(seconds: float) -> dict[str, float]:
    """Requests a minute, by verb and resource, over some time."""
    before, began = answered(), time.monotonic()
    time.sleep(seconds)
    minutes = (time.monotonic() - began) / 60
    return {name: (count - before.get(name, 0)) / minutes for name, count in answered().items()}


def project(folder: Path, address: str, pods: int) -> Project:
    """Make a project of one run."""
    made = new_project(folder / f"pods-{pods}")
    made.variables = {**stand_in.VARIABLES}
    made.write("__main__.py", PROGRAM)
    made.write("scripts/train.py", SCRIPT)
    values = {
        "root": f"{address}/pods-{pods}",
        "namespace": NAMESPACE,
        "registry": os.environ["TRAINSTACK_REGISTRY"],
        "base": os.environ["TRAINSTACK_BASE_IMAGE"],
        "pods": str(pods),
    }
    for key, value in values.items():
        made.pulumi("config", "set", key, value)
    return made


def running(pods: int) -> bool:
    """Return whether so many pods train."""
    items = json.loads(kubectl("-n", NAMESPACE, "get", "pods", "-l", "trainstack.run", "-o", "json"))["items"]
    return sum(pod["status"]["phase"] == "Running" for pod in items) == pods


def measured(folder: Path, address: str, pods: int, seconds: float) -> dict[str, float]:
    """Requests a minute while a run of so many pods trains and nobody follows it."""
    up = project(folder, address, pods).start_up(folder / f"up-{pods}.txt")
    until(lambda: up.poll() is not None or running(pods), 900)
    if up.poll() is not None:
        raise SystemExit((folder / f"up-{pods}.txt").read_text()[-2000:])
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()
    # Mounts, first lines, and what the killed process had begun.
    time.sleep(20)
    return rate(seconds)


def emptied() -> None:
    """Remove the namespace, and make it anew with the Secret that opens the store from there."""
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")
    kubectl("create", "namespace", NAMESPACE)
    kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(store_secret()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="API requests of runs that train on a cluster with a driver.")
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("--pods", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    os.environ["AWS_ENDPOINT_URL"] = reachable_endpoint()
    print(description(), flush=True)
    store = open_store(options.address)
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-", ignore_cleanup_errors=True) as folder:
        try:
            emptied()
            idle = rate(options.seconds)
            for pods in options.pods or [1, 2]:
                found = measured(Path(folder), options.address.rstrip("/"), pods, options.seconds)
                more = {name: count - idle.get(name, 0) for name, count in found.items()}
                total = sum(more.values())
                most = sorted(more.items(), key=lambda one: -one[1])[:5]
                named = ", ".join(f"{name} {count:.1f}" for name, count in most)
                print(f"{pods} pods: {total:.1f} requests a minute, {total / pods:.1f} a pod: {named}", flush=True)
                emptied()
        finally:
            kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
            store.delete_all([item.key for item in store.list()])


if __name__ == "__main__":
    main()
