"""Kill and harm everything at random moments: the next submission always comes to the same result, nothing is left.

`CHAOS_N` says how many harms (12), `CHAOS_SEED` repeats a sequence. `make chaos N=200` does more of them.
"""

import os
import random
import shutil

import pytest
from tests.chaos.rounds import HARMS, Round, Tally, play
from tests.core.sample_runs import tiny_environment
from tests.small_disk import small_disk

from trainstack.core.workspace.workspace import Workspace

# One in ten is left to the real engine, in the module beside this one.
COUNT = int(os.environ.get("CHAOS_N", "12")) * 9 // 10
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MiB; none where the kernel does not let us mount one."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.mark.timeout(60 + 15 * COUNT)
def test_after_any_kill_the_next_submission_ends_the_same(tmp_path, disk, capsys):
    packages = tiny_environment()
    chance = random.Random(SEED)
    tally = Tally()
    workspace = Workspace.create(tmp_path / "ws", "ws")
    kinds = ["provider", *HARMS, "clock", *(["disk"] if disk else [])]
    for number in range(COUNT):
        kind = kinds[number % len(kinds)]
        # The small disk holds one round's workspace at a time: it is full when a round fills it, and only then.
        where = Workspace.create(disk / "ws", "ws") if disk and kind == "disk" else workspace
        # Every second time round the kinds, a group of two nodes is harmed.
        group = number // len(kinds) % 2 == 1
        chaos = Round(where, tmp_path / f"round-{number}", packages, number, chance.choice((1, 2)), group=group)
        play(chaos, kind, tally, chance)
        if where is not workspace:
            shutil.rmtree(where.root)
    with capsys.disabled():
        print(f"\n{tally}; CHAOS_SEED={SEED}")
    assert not tally.lost, tally.lost[0]
    assert not tally.orphans
    assert max(tally.repeated.values()) <= 1, tally.repeated
