"""How long an environment takes to become an image, beside plain `docker build` of the Dockerfile that we save.

Both build the same text on a base image of their own turn, so that no layer is there yet while the packages' cache is
warm on both sides. Then again when the image is there, in one call and as a whole process; and the image's size beside
that of a Dockerfile as one writes it by hand. Needs DOCKER_HOST and TRAINSTACK_BASE_IMAGE (an image with Python 3.11).
Usage: `python -m benchmarks.image [--environment NAME] [--pairs N]`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import description, in_turns, note, seconds
from trainstack.core.environments.environment import EnvironmentSpec, get_curated, lock
from trainstack.core.images import builder as image_builder
from trainstack.core.images import image
from trainstack.core.images.saved_environment import save_to_directory
from trainstack.docker_engine import engine_api

CHILD = """
import sys
from trainstack.core.images import image
from trainstack.core.environments.environment import EnvironmentSpec, lock
from trainstack.docker_engine import engine_api
spec = EnvironmentSpec.model_validate_json(sys.argv[1])
with engine_api.connected() as client:
    image.ensure(spec, lock(spec), client)
"""
BY_HAND = """FROM {base}
RUN python3 -m venv /opt/environment
COPY requirements.lock /tmp/
RUN /opt/environment/bin/pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements.lock
ENV PATH=/opt/environment/bin:$PATH
USER 1000
"""


class Bench:
    """Bases, builds and what is to be removed afterwards."""

    def __init__(self, client: Any, name: str, folder: Path) -> None:
        self.client = client
        self.name = name
        self.folder = folder
        self.base = os.environ["TRAINSTACK_BASE_IMAGE"]
        command = image_builder.docker_program()
        if command is None:
            raise SystemExit("no docker program with BuildKit on PATH")
        self.command = command
        self.made: list[str] = []

    def docker(self, *words: str, text: str | None = None) -> str:
        """Run a docker command."""
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        done = subprocess.run(
            [self.command[0], *words], input=text, capture_output=True, text=True, env=environment, check=True
        )
        return done.stdout.strip()

    def bases(self) -> Iterator[str]:
        """Base images that nothing was built on."""
        while True:
            tag = f"trainstack-benchmark:{uuid.uuid4().hex}"
            self.docker(
                *self.command[1:], "--quiet", "--tag", tag, "-", text=f"FROM {self.base}\nRUN echo {tag} >/etc/turn\n"
            )
            self.made.append(tag)
            yield tag

    def spec(self, base: str) -> EnvironmentSpec:
        """The environment on a base."""
        return get_curated(self.name).model_copy(update={"base_image": base})

    def ours(self, spec: EnvironmentSpec) -> str:
        """Have its image as a run does."""
        found = image.ensure(spec, lock(spec), self.client).reference
        if found not in self.made:
            self.made.append(found)
        return found

    def plain(self, folder: Path, tag: str) -> None:
        """Build what was saved as anyone would."""
        self.docker(*self.command[1:], "--quiet", "--tag", tag, str(folder))

    def remove(self) -> None:
        """Remove what was built, newest first."""
        for name in reversed(self.made):
            self.client.images.remove(name, force=True)

    def size(self, name: str) -> int:
        """Bytes of an image's layers."""
        return int(self.client.images.get(name).attrs["Size"])


def measure(bench: Bench, pairs: int, again: int) -> bool:
    """Measure and print; gives whether the goals were met."""
    bases = bench.bases()
    prepared: list[tuple[EnvironmentSpec, Path, str]] = []
    for number in range(pairs + 1):
        folder = bench.folder / str(number)
        save_to_directory(bench.spec(next(bases)), folder)
        tag = f"trainstack-benchmark:plain-{uuid.uuid4().hex}"
        prepared.append((bench.spec(next(bases)), folder, tag))
    mine, theirs = iter(prepared), iter(prepared)

    def plain() -> None:
        _, folder, tag = next(theirs)
        bench.plain(folder, tag)
        bench.made.append(tag)

    first = in_turns(lambda: bench.ours(next(mine)[0]), plain, pairs)
    spec, folder, tag = prepared[-1]
    cached = in_turns(lambda: bench.ours(spec), lambda: bench.plain(folder, tag), again)
    process = [
        seconds(lambda: subprocess.run([sys.executable, "-c", CHILD, spec.model_dump_json()], check=True))
        for _ in range(again)
    ]
    print("| what | ours | plain docker build | ratio | difference | goal |\n| --- | --- | --- | --- | --- | --- |")
    print(first.row(f"image of {bench.name}, packages cached", "at most +2 s and 3 %"))
    print(cached.row("the same again, one call", "under 1 s"))
    print(f"| the same again, a whole process | {statistics.median(process):.2f} s | | | | under 1 s |")
    ours, hand = bench.size(bench.ours(spec)), bench.size(by_hand(bench, folder))
    note("image size / by hand", ours / hand, f"{ours / 1e6:.0f} MB", f"{hand / 1e6:.0f} MB", "near 1")
    print(f"| image size | {ours / 1e6:.0f} MB | {hand / 1e6:.0f} MB by hand | {ours / hand:.3f} | | near 1 |")
    allowed = max(2.0, 0.03 * statistics.median(first.theirs))
    return first.difference <= allowed and max(statistics.median(cached.ours), statistics.median(process)) < 1


def by_hand(bench: Bench, saved: Path) -> str:
    """Build the Dockerfile that one writes with pip, without looking for the smallest; gives its tag."""
    folder = bench.folder / "by-hand"
    folder.mkdir()
    (folder / "Dockerfile").write_text(BY_HAND.format(base=bench.base))
    (folder / "requirements.lock").write_bytes((saved / "requirements.lock").read_bytes())
    tag = f"trainstack-benchmark:by-hand-{uuid.uuid4().hex}"
    bench.plain(folder, tag)
    bench.made.append(tag)
    return tag


def main() -> None:
    """Measure; end with 1 when a goal was missed."""
    parser = argparse.ArgumentParser(description="An environment as an image, beside plain docker build.")
    parser.add_argument("--environment", default="tensorflow-2.15")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--again", type=int, default=10)
    options = parser.parse_args()
    if not (os.environ.get("DOCKER_HOST") and os.environ.get("TRAINSTACK_BASE_IMAGE")):
        print("image: skipped, DOCKER_HOST or TRAINSTACK_BASE_IMAGE is not set")
        return
    print(description())
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as temporary, engine_api.connected() as client:
        bench = Bench(client, options.environment, Path(temporary))
        try:
            met = measure(bench, options.pairs, options.again)
        finally:
            bench.remove()
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
