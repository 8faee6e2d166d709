"""How long it takes to digest a folder, beside sha256sum over the same files.

Prints the median of both, which run in turns, and their ratio: cold (nothing remembered), and again with no file
changed. The page cache is warm for both. Usage: `python benchmarks/fingerprint.py [--files N] [--bytes N] [--pairs N]`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import note
from trainstack.core.datasets.local_files import local_files
from trainstack.storage.digest import RACY_NS, DigestCache

FILES_A_FOLDER = 100


def make_files(root: Path, files: int, size: int) -> None:
    """Write `files` files of different content, `size` bytes in all."""
    noise = os.urandom(2 * size // files + files)
    for number in range(files):
        folder = root / f"{number // FILES_A_FOLDER:04}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06}.bin").write_bytes(noise[number : number + size // files])


def ours(root: Path, cache: Path) -> dict[str, str]:
    """List and digest as a dataset does."""
    (group,) = local_files([str(root)])
    return DigestCache(cache).digests(root, group.names)


def sha256sum(root: Path, processes: int) -> dict[str, str]:
    """What a shell user types."""
    command = f"find . -type f -print0 | xargs -0 -n 500 -P {processes} sha256sum"
    printed = subprocess.run(command, shell=True, cwd=root, capture_output=True, text=True, check=True).stdout
    return {line[68:]: line[:64] for line in printed.splitlines()}


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Digest a folder, beside sha256sum over the same files.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache.json"
        root.mkdir()
        make_files(root, options.files, options.bytes)
        # A cache does not remember a file that changed a moment ago, so let them settle; then warm the page cache.
        time.sleep(RACY_NS / 1e9 + 0.5)
        if ours(root, cache) != sha256sum(root, 1):
            sys.exit("the digests differ")
        cold: list[float] = []
        unchanged: list[float] = []
        theirs: list[float] = []
        theirs_parallel: list[float] = []
        for _ in range(options.pairs):
            cache.unlink()
            cold.append(seconds(lambda: ours(root, cache)))
            theirs.append(seconds(lambda: sha256sum(root, 1)))
            unchanged.append(seconds(lambda: ours(root, cache)))
            theirs_parallel.append(seconds(lambda: sha256sum(root, cores)))
    print(f"{options.files:,} files, {options.bytes:,} bytes, {cores} cores, median of {options.pairs}")
    base = statistics.median(theirs)
    for what, times in (
        ("sha256sum", theirs),
        (f"sha256sum, {cores} processes", theirs_parallel),
        ("ours, cold", cold),
        ("ours, unchanged", unchanged),
    ):
        median = statistics.median(times)
        if what.startswith("ours"):
            note(f"fingerprint, {what} / sha256sum", median / base, f"{median:.3f} s", f"{base:.3f} s", "at most 1")
        print(f"{what:<26}{median:8.3f} s{median / base:8.2f} times sha256sum")


if __name__ == "__main__":
    main()
