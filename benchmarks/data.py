"""Registering a folder of many objects where it lies, beside a bare listing of it; and again.

Usage: `python -m benchmarks.data ADDRESS [--objects N] [--pairs N] [--boto3 PYTHON]`, with the store's credentials in
the environment. ADDRESS is a folder of a bucket, which is emptied afterwards. PYTHON is an interpreter that has boto3,
by which the folder is listed too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore

from benchmarks.machine import Pair, description, seconds
from trainstack.core.datasets.dataset import DatasetSpec, register
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.object_store.connection import connect

_FOLDER = 1000
_AT_ONCE = 32
_BOTO3 = """
import sys, time
import boto3
client = boto3.client("s3")
client.list_objects_v2(Bucket=sys.argv[1], MaxKeys=1)
began = time.perf_counter()
pages = client.get_paginator("list_objects_v2").paginate(Bucket=sys.argv[1], Prefix=sys.argv[2])
count = sum(len([(each["Key"], each["Size"], each["ETag"]) for each in page.get("Contents", ())]) for page in pages)
print(time.perf_counter() - began, count)
"""


async def fill(store: Any, count: int) -> None:
    """Write small objects, a thousand a folder."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def write(number: int) -> None:
        async with free:
            await obstore.put_async(store, f"{number // _FOLDER:05}/{number:08}.bin", b"%d" % number)

    await asyncio.gather(*(write(number) for number in range(count)))


def empty(store: Any) -> None:
    """Remove all objects."""
    for page in obstore.list(store, chunk_size=1000):
        obstore.delete(store, [entry["path"] for entry in page])


def listed_by_obstore(store: Any, count: int) -> float:
    """List as a script would, and return the seconds."""
    began = time.perf_counter()
    listing = [(entry["path"], entry["size"], entry["e_tag"]) for page in obstore.list(store) for entry in page]
    passed = time.perf_counter() - began
    if len(listing) != count:
        raise SystemExit(f"{len(listing):,} objects are listed in place of {count:,}")
    return passed


def listed_by_boto3(python: str, address: str, count: int) -> float:
    """List in a process of its own, and return the seconds without its start."""
    split = urlsplit(address)
    command = [python, "-c", _BOTO3, split.netloc, f"{split.path.strip('/')}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    passed, number = done.stdout.split()
    if int(number) != count:
        raise SystemExit(f"{number} objects are listed in place of {count:,}")
    return float(passed)


def registered(address: str, folder: Path) -> tuple[float, float]:
    """Register in a new workspace, and again; returns the seconds of both."""
    workspace = Workspace.create(folder / "workspace", "benchmark")
    spec = DatasetSpec(name="set", paths=(address,))
    return seconds(lambda: register(workspace, spec)), seconds(lambda: register(workspace, spec))


def measure(address: str, pairs: int, peer: str, bare: Callable[[], float]) -> None:
    """Take turns, and print a row of medians; a slow second registration is told."""
    pair, again = Pair([], []), list[float]()
    for _ in range(pairs):
        with tempfile.TemporaryDirectory(prefix="trainstack-benchmarks-") as folder:
            pair.theirs.append(bare())
            first, second = registered(address, Path(folder))
        pair.ours.append(first)
        again.append(second)
    print(pair.row(f"objects registered where they lie / a bare listing by {peer}", "at most 3"), flush=True)
    print(f"  again: {statistics.median(again):.3f} s (goal: under 1 s)", flush=True)


def main() -> None:
    """Fill the folder, measure, and empty it."""
    parser = argparse.ArgumentParser(description="Registering objects where they lie, beside a bare listing.")
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--boto3", metavar="PYTHON", help="an interpreter that has boto3")
    options = parser.parse_args()
    count, address = options.objects, options.address.rstrip("/")
    store = connect(address, timeout=timedelta(seconds=60), retries=3)
    print(f"{description()}: {count:,} objects", flush=True)
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmarks-") as cache:
        os.environ["TRAINSTACK_CACHE"] = cache
        try:
            asyncio.run(fill(store, count))
            measure(address, options.pairs, "obstore", lambda: listed_by_obstore(store, count))
            if options.boto3:
                measure(address, options.pairs, "boto3", lambda: listed_by_boto3(options.boto3, address, count))
        finally:
            empty(store)


if __name__ == "__main__":
    main()
