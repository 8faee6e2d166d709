"""Kill containers, supervisors and the engine itself at random moments: nothing is lost, nothing is left there."""

import contextlib
import os
import random
from collections.abc import Callable

import pytest
from tests.chaos.rounds import Round, Tally, kill, play
from tests.core.docker_runs import needs_engine
from tests.core.own_engine import OwnEngine, own_engine
from tests.core.sample_runs import tiny_environment

from trainstack.core.compute.compute import ComputeSpec, target_of
from trainstack.core.runs import location
from trainstack.core.workspace.workspace import Workspace

__all__ = ["own_engine"]

pytestmark = needs_engine

COUNT = max(6, int(os.environ.get("CHAOS_N", "12")) // 5)
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))


def harms_on(own: OwnEngine) -> dict[str, Callable[[Round], bool]]:
    def container(role: str) -> Callable[[Round], bool]:
        def harm(chaos: Round) -> bool:
            client = own.client()
            try:
                wanted = {"label": [f"trainstack.run={chaos.run.id}", f"trainstack.node={role}"], "status": "running"}
                found = client.api.containers(filters=wanted)
                for one in found:
                    with contextlib.suppress(Exception):
                        client.api.kill(one["Id"])
                return bool(found)
            finally:
                client.close()

        return harm

    def engine(chaos: Round) -> bool:
        if not container("0")(chaos):
            return False
        own.restart()
        return True

    def supervisor_and_container(chaos: Round) -> bool:
        return kill(Round.supervisor)(chaos) and (container("0")(chaos) or True)

    return {
        "container": container("0"),
        "sidecar": container("sidecar"),
        "supervisor": kill(Round.supervisor),
        "supervisor and container": supervisor_and_container,
        "engine": engine,
    }


@pytest.mark.long
@pytest.mark.timeout(120 + 30 * COUNT)
def test_after_a_kill_on_docker_the_next_run_ends_the_same(tmp_path, own_engine, capsys):
    packages = tiny_environment()
    chance = random.Random(SEED)
    tally = Tally()
    workspace = Workspace.create(tmp_path / "ws", "ws")
    place = ComputeSpec(name="engine", target="docker", docker_host=own_engine.address)
    harms = harms_on(own_engine)
    kinds = list(harms)
    for number in range(COUNT):
        kind = kinds[number % len(kinds)]
        folder = tmp_path / f"round-{number}"
        chaos = Round(workspace, folder, packages, number, chance.choice((1, 2)), compute=place)
        play(chaos, kind, tally, chance, harms)
        tally.orphans += [
            f"{kind}: {orphan.kind} {orphan.name}"
            for orphan in target_of(place).orphans(location.ref_of(chaos.run).workspace)
        ]
    with capsys.disabled():
        print(f"\n{tally}; CHAOS_SEED={SEED}")
    assert not tally.lost, tally.lost[0]
    assert not tally.orphans
