"""A workspace in an object store: an unchanged preview beside a folder's, and adopting a large run on an empty disk.

The preview's pair is one program with its workspace in a folder and in the store, by turns. The adoption's pair is
`pulumi up` on a machine whose cache is empty, of a stack whose run another machine has finished: one run left the
given size in outputs, the other one byte.

Usage: `python -m benchmarks.store ADDRESS [--pairs N] [--size MIB]`, with the store's credentials in the environment.
ADDRESS is a folder of a bucket, which is emptied.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tests.end_to_end.project import Project, new_project

from benchmarks.machine import Pair, description, in_turns, seconds
from trainstack.storage.addresses import open_store

PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("team", ts.WorkspaceArgs(root=config.get("root")))
run = ts.TrainingRun("write", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", arguments={"--bytes": config.require_int("bytes")},
    compute=ts.Compute("nodes", ts.ComputeArgs(workspace=workspace)),
    environment=ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"])),
))
pulumi.export("run", run.run_id)
"""
SCRIPT = """
import os, pathlib, sys
left = int(sys.argv[sys.argv.index("--bytes") + 1])
with pathlib.Path("outputs/weights").open("wb") as file:
    while left:
        left -= file.write(os.urandom(min(left, 1 << 24)))
"""


def machine(folder: Path, name: str, size: int, root: str | None) -> Project:
    """Make a project of one run, with a cache of its own.

    Args:
        folder: Where.
        name: What it is called.
        size: Bytes that its run leaves.
        root: The workspace's address; a folder of the project when left out.
    """
    project = new_project(folder / name)
    project.variables = {"TRAINSTACK_CACHE": str(folder / f"cache-{name}")}
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    project.pulumi("config", "set", "bytes", str(size))
    if root:
        project.pulumi("config", "set", "root", root)
    # The environment's cache is not what is measured.
    cache = folder / f"cache-{name}"
    cache.mkdir()
    shared = Path(os.environ.get("TRAINSTACK_CACHE", Path.home() / ".cache" / "trainstack")) / "environments"
    shared.mkdir(parents=True, exist_ok=True)
    (cache / "environments").symlink_to(shared)
    return project


def previews(folder: Path, address: str, pairs: int) -> Pair:
    """Unchanged previews of one program, its workspace in the store and in a folder."""
    stored, local = machine(folder, "stored", 1, f"{address}/preview"), machine(folder, "local", 1, None)
    for project in (stored, local):
        project.up()
    return in_turns(stored.unchanged, local.unchanged, pairs)


def adoptions(folder: Path, address: str, pairs: int, size: int) -> Pair:
    """Updates on an empty disk that adopt a run of the size, and one of a byte."""
    sizes = {"large": size, "small": 1}
    for name, count in sizes.items():
        machine(folder, f"made-{name}", count, f"{address}/{name}").up()
    times: dict[str, list[float]] = {name: [] for name in sizes}
    for number in range(pairs):
        for name, count in sizes.items():
            project = machine(folder, f"adopts-{name}-{number}", count, f"{address}/{name}")
            times[name].append(seconds(lambda p=project: p.up()))
            adopted = project.pulumi("stack", "output", "run").text.strip()
            if not any(folder.glob(f"cache-adopts-{name}-{number}/workspaces/*/runs/{adopted}/run.json")):
                raise SystemExit(f"run {adopted} was not adopted")
            shutil.rmtree(project.root)
    return Pair(times["large"], times["small"])


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description="A workspace in an object store: preview and adoption.")
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    options = parser.parse_args()
    address = options.address.rstrip("/")
    print(description(), flush=True)
    store = open_store(address)
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-", ignore_cleanup_errors=True) as folder:
        try:
            pair = previews(Path(folder), address, options.pairs)
            print(pair.row("unchanged preview, workspace in a store / in a folder", "at most 1.1 times"), flush=True)
            pair = adoptions(Path(folder), address, options.pairs, options.size * 2**20)
            label = f"`up` on an empty disk that adopts a run of {options.size} MiB / of one byte"
            print(pair.row(label, "at most +1 s"), flush=True)
        finally:
            store.delete_all([item.key for item in store.list()])


if __name__ == "__main__":
    main()
