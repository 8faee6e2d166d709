"""What a plan accepts, and how it refuses."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.agent.plans import plan

from trainstack.agent.errors import LaunchError
from trainstack.agent.plan import (
    Distribution,
    Horovod,
    LaunchPlan,
    Single,
    TensorFlow,
    free_ports,
    plan_from_json,
    ports_needed,
    read_plan,
)


@pytest.mark.parametrize(
    ("distribution", "nodes"),
    [
        (Single(), 1),
        (Horovod(2, fusion_threshold_mb=0.5, autotune=True), 2),
        (Horovod(2, min_workers=1, max_workers=2), 1),
        (TensorFlow(2), 2),
        (TensorFlow(2, 1), 3),
    ],
)
def test_plan_read_is_the_plan_written(tmp_path: Path, distribution: Distribution, nodes: int) -> None:
    written = plan(distribution, nodes, argv=("--a", "1"), cores=2, rank_variables={"A": "{rank}"})
    written.write(tmp_path / "launch.json")
    assert read_plan(tmp_path / "launch.json") == written


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (plan(Single(), 2), "a single process needs one node, 2 are given"),
        (plan(TensorFlow(2), 1), "2 workers and 0 parameter servers need 2 nodes, 1 are given"),
        (plan(TensorFlow(0), 1), "0 workers"),
        (plan(Horovod(0), 1), "processes_per_node is 0, at least 1"),
        (plan(Horovod(stall_check_seconds=-1), 1), "stall_check_seconds is -1, at least 0"),
        (plan(Horovod(2, min_workers=1, max_workers=2), 2), "from one node, 2 are given"),
        (plan(Horovod(2, min_workers=1), 1), "both min_workers and max_workers"),
        (plan(Horovod(3, min_workers=1, max_workers=2), 1), "not between min_workers 1 and max_workers 2"),
        (plan(Horovod(), 2, ports=(5000,)), "2 ports are needed, 1 are given"),
        (plan(Horovod(), 2, ports=(5000, 5000)), "ports must differ"),
        (plan(Horovod(), 2, ports=(5000, 70000)), "no such port"),
        (plan(Single(), cores=0), "a node has 0 cores"),
        (plan(Single(), grace_seconds=-1), "seconds"),
    ],
)
def test_plan_that_cannot_work_is_refused_in_one_line(tmp_path: Path, wrong: LaunchPlan, words: str) -> None:
    with pytest.raises(LaunchError) as caught:
        wrong.write(tmp_path / "launch.json")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "launch.json").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2 is not known"),
        ({"distribution": {"kind": "mpi"}}, "'mpi' is none of single, horovod, tensorflow"),
        ({"distribution": {"kind": "horovod", "fusion": 1}}, "unknown key 'fusion'"),
        ({"distribution": {"kind": "horovod", "autotune": 1}}, "autotune must be bool, not 1"),
        ({"argv": "--a 1"}, "argv must be tuple[str, ...]"),
        ({"argv": [1]}, "argv must be str, not 1"),
        ({"ports": [5000.5]}, "ports must be int"),
        ({"cores": True}, "cores must be int, not True"),
        ({"rank_variables": {"A": 1}}, "rank_variables must be str, not 1"),
        ({"surprise": 1}, "unknown key 'surprise'"),
    ],
)
def test_wrong_document_is_refused_by_key(change: dict[str, Any], words: str) -> None:
    document = {**plan(Single()).to_json(), **change}
    with pytest.raises(LaunchError, match="launch plan: ") as caught:
        plan_from_json(document)
    assert words in str(caught.value)


def test_missing_key_is_named() -> None:
    document = plan(Single()).to_json()
    del document["script"]
    with pytest.raises(LaunchError, match="script is missing"):
        plan_from_json(document)


def test_whole_numbers_may_arrive_as_floats() -> None:
    document = json.loads(json.dumps({**plan(Single()).to_json(), "cores": 2.0}))
    assert repr(plan_from_json(document).cores) == "2"


def test_free_ports_can_be_listened_on_and_differ() -> None:
    ports = free_ports(TensorFlow(2, 1), 3)
    assert len(set(ports)) == ports_needed(TensorFlow(2, 1), 3) == 6
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass
