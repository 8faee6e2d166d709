"""How long it takes to have a training environment, beside uv by hand with the same lock.

Prints the median of both, which run in turns, and their ratio: the first time (packages in uv's cache on both sides),
and again when it is there. Ours again is measured as one call and as a whole process with its imports; by hand again is
`uv pip sync`, which looks whether anything is to be done. Usage: `python benchmarks/environment.py [--environment NAME]
[--first N] [--again N]`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import note, seconds
from trainstack.core.environments.environment import build, find_damage, get_curated, lock
from trainstack.core.environments.uv_command import uv

LIMIT = 0.3
CHILD = """
import sys
from trainstack.core.environments.environment import build, get_curated, lock
spec = get_curated(sys.argv[1])
build(spec, lock(spec))
"""


def have(name: str) -> None:
    """Have a curated environment, as a provider does."""
    spec = get_curated(name)
    reason = find_damage(build(spec, lock(spec)))
    if reason is not None:
        raise SystemExit(f"the environment is not whole: {reason}")


def by_hand(folder: Path, text: Path) -> None:
    """What a user types, the environment made when it is not there."""
    if not folder.exists():
        subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    command = [uv(), "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", python, str(text)]
    subprocess.run(command, check=True)


def show(what: str, ours: list[float], hand: list[float]) -> float:
    """Print one line and return our median."""
    mine, theirs = statistics.median(ours), statistics.median(hand)
    note(f"environment, {what}", mine / theirs, f"{mine:.3f} s", f"{theirs:.3f} s", "again under 0.3 s")
    print(f"{what:36} ours {mine:8.3f} s   uv by hand {theirs:8.3f} s   ratio {mine / theirs:6.2f}")
    return mine


def main() -> None:
    """Measure and print; end with 1 when a ready environment takes longer than the promised 0.3 s."""
    parser = argparse.ArgumentParser(description="Have a training environment, beside uv by hand.")
    parser.add_argument("--environment", default="tensorflow-2.15")
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--again", type=int, default=15)
    options = parser.parse_args()
    name: str = options.environment
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as temporary:
        root = Path(temporary)
        text = root / "requirements.lock"
        text.write_text(lock(get_curated(name)).text)
        os.environ["TRAINSTACK_CACHE"] = str(root / "warm")
        have(name)
        ours: list[float] = []
        hand: list[float] = []
        for number in range(options.first):
            os.environ["TRAINSTACK_CACHE"] = str(root / f"ours-{number}")
            ours.append(seconds(lambda: have(name)))
            folder = root / f"hand-{number}"
            hand.append(seconds(lambda: by_hand(folder, text)))  # noqa: B023 (called at once)
        print(f"trainstack-{name.removeprefix('trainstack-')}, {len(lock(get_curated(name)).packages)} packages")
        show("first time", ours, hand)
        os.environ["TRAINSTACK_CACHE"] = str(root / "warm")
        folder = root / "hand-0"
        calls: list[float] = []
        processes: list[float] = []
        again: list[float] = []
        for _ in range(options.again):
            calls.append(seconds(lambda: have(name)))
            processes.append(seconds(lambda: subprocess.run([sys.executable, "-c", CHILD, name], check=True)))
            again.append(seconds(lambda: by_hand(folder, text)))
        slow = show("again, one call", calls, again)
        show("again, a whole process", processes, again)
    if slow >= LIMIT:
        raise SystemExit(f"a ready environment took {slow:.2f} s, promised are {LIMIT} s")


if __name__ == "__main__":
    main()
