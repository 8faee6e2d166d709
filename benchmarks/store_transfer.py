"""A dataset's way to a store and back: `trainstack workspace push` and `pull` beside boto3, obstore and DVC.

Each peer uploads the same folder to a folder of its own in the same bucket, then fetches it into an empty one: boto3 by
its transfer manager, ten files at once; obstore by `put` and `get`, twelve at once; DVC by `dvc push` and `dvc pull` of
a folder that it tracks. All are processes that start anew. Ours and DVC check digests of what they fetch, the other two
do not.

Usage: `python -m benchmarks.store_transfer ADDRESS --peers PYTHON [--rounds N] [--size MIB] [--files N]`, with the
store's credentials in the environment. ADDRESS is a folder of an S3 bucket, which is emptied. PYTHON is the interpreter
of an environment with boto3, obstore and dvc[s3].
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import Pair, description, seconds
from trainstack.core.datasets import dataset
from trainstack.core.datasets.spec import DatasetSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.addresses import open_store

PEER = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
library, action, bucket, prefix, folder = sys.argv[1:]
folder = Path(folder)
folder.mkdir(exist_ok=True)
if library == "boto3":
    import boto3
    client = boto3.client("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))
    threads = 10
    put = lambda path, key: client.upload_file(str(path), bucket, key)
    get = lambda key, path: client.download_file(bucket, key, str(path))
    pages = lambda: client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/")
    keys = lambda: [item["Key"] for page in pages() for item in page["Contents"]]
else:
    import obstore
    from obstore.store import S3Store
    threads = 12
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    options = {"endpoint": endpoint, "client_options": {"allow_http": True}} if endpoint else {}
    store = S3Store(bucket, **options)
    put = lambda path, key: obstore.put(store, key, path)
    def get(key, path):
        with open(path, "wb") as file:
            for chunk in obstore.get(store, key).stream(min_chunk_size=8 << 20):
                file.write(chunk)
    keys = lambda: [item["path"] for batch in obstore.list(store, prefix + "/") for item in batch]
with ThreadPoolExecutor(threads) as pool:
    if action == "up":
        work = [pool.submit(put, path, f"{prefix}/{path.name}") for path in folder.iterdir()]
    else:
        work = [pool.submit(get, key, folder / key.rsplit("/", 1)[1]) for key in keys()]
    for one in work:
        one.result()
"""


class Transfer:
    """One set of files, and the ways to move it.

    Args:
        folder: Where work may be done; it is empty.
        address: The bucket's folder.
        python: The interpreter of the peers.
        files: How many files.
        size: Bytes of each.
    """

    def __init__(self, folder: Path, address: str, python: str, files: int, size: int) -> None:
        self.folder, self.address, self.python = folder, address, python
        self.bucket, _, self.prefix = address.removeprefix("s3://").partition("/")
        self.source = folder / "source"
        self.source.mkdir(parents=True)
        for number in range(files):
            (self.source / f"{number:06}.bin").write_bytes(os.urandom(size))
        self.workspace = Workspace.create(folder / "workspace", "benchmark")
        dataset.register(self.workspace, DatasetSpec(name="files", paths=(str(self.source),)))
        self._prepare_dvc()

    def _prepare_dvc(self) -> None:
        self.project = self.folder / "dvc"
        self.project.mkdir()
        shutil.copytree(self.source, self.project / "data")
        self._dvc("init", "--no-scm", "--quiet")
        self._dvc("remote", "add", "-d", "store", f"{self.address}/dvc")
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            self._dvc("remote", "modify", "store", "endpointurl", endpoint)
        self._dvc("add", "--quiet", "data")

    def _dvc(self, *arguments: str) -> None:
        self._run(self.python, "-m", "dvc", *arguments)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, cwd=self.folder / "dvc", capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{command[:4]}: {done.stdout}{done.stderr}")

    def empty(self) -> None:
        """Remove what was uploaded and what was fetched."""
        store = open_store(self.address)
        store.delete_all([item.key for item in store.list()])
        # What is noted as copied there is not so any more.
        shutil.rmtree(self.workspace.root / "cache", ignore_errors=True)

    def clear(self) -> None:
        """Remove what was fetched."""
        for name in ("ours", "boto3", "obstore", "dvc/data", "dvc/.dvc/cache"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def ways(self, action: str) -> dict[str, Callable[[], None]]:
        """What each does; `up` or `down`."""
        program = (sys.executable, "-m", "trainstack.cli", "workspace")
        ours = (
            (*program, "push", f"{self.address}/ours", "--workspace", str(self.workspace.root))
            if action == "up"
            else (*program, "pull", f"{self.address}/ours", "--workspace", str(self.folder / "ours"))
        )

        def peer(library: str) -> Callable[[], None]:
            folder = self.source if action == "up" else self.folder / library
            place = (self.bucket, f"{self.prefix}/{library}", str(folder))
            return lambda: self._run(self.python, "-c", PEER, library, action, *place)

        return {
            "Trainstack": lambda: self._run(*ours),
            "boto3": peer("boto3"),
            "obstore": peer("obstore"),
            "DVC": lambda: self._dvc("push" if action == "up" else "pull", "--quiet"),
        }


def measure(transfer: Transfer, label: str, rounds: int) -> None:
    """Upload and fetch in turns, and print a row each."""
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        transfer.empty()
        for action in ("up", "down"):
            if action == "down":
                transfer.clear()
            for name, way in transfer.ways(action).items():
                times.setdefault((action, name), []).append(seconds(way))
    for action, verb in (("up", "upload"), ("down", "fetch")):
        ours = times[action, "Trainstack"]
        for name in ("boto3", "obstore", "DVC"):
            pair = Pair(ours, times[action, name])
            print(pair.row(f"{verb} {label} / {name}", "reported"), flush=True)
        spread = f"{min(ours):.2f} to {max(ours):.2f} s, median {statistics.median(ours):.2f} s"
        print(f"  ours, {verb} {label}: {spread}", flush=True)


def main() -> None:
    """Measure one large file's worth, then many small files."""
    parser = argparse.ArgumentParser(description="Upload and fetch beside boto3, obstore and DVC.")
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("--peers", required=True, metavar="PYTHON", help="with boto3, obstore and dvc[s3]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of eight large files together")
    parser.add_argument("--files", type=int, default=10_000, help="small ones of 4 KiB")
    options = parser.parse_args()
    print(description(), flush=True)
    sets = {
        f"{options.size} MiB in 8 files": (8, options.size * 2**20 // 8),
        f"{options.files:,} files of 4 KiB": (options.files, 4096),
    }
    for label, (files, size) in sets.items():
        with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as folder:
            transfer = Transfer(Path(folder) / "work", options.address.rstrip("/"), options.peers, files, size)
            try:
                measure(transfer, label, options.rounds)
            finally:
                transfer.empty()


if __name__ == "__main__":
    main()
