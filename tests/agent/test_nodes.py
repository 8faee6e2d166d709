"""Two agents as two nodes: they start together, and end together whatever happens to one of them."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from trainstack.agent.plan import COORDINATION_PORT, LaunchPlan, TensorFlow

WAITING = "import os, time\nprint('ready', os.environ['TRAINSTACK_RANK'])\ntime.sleep(300)"
TWO = TensorFlow(workers=2)


def both_ready(launch: Any) -> bool:
    return "ready" in launch.log(0) and "ready" in launch.log(1)


def test_two_nodes_end_well_together(launch: Any) -> None:
    launch.write(
        "import os, time\ntime.sleep(0.3 * int(os.environ['TRAINSTACK_RANK']))\nprint('done')\n",
        distribution=TWO,
        nodes=2,
    )
    assert launch.run() == [0, 0]
    assert [launch.report(node).state for node in (0, 1)] == ["succeeded", "succeeded"]
    assert sorted(launch.merged.splitlines()) == ["[0] done", "[1] done"]
    assert launch.log(1) == "done\n"


@pytest.mark.parametrize("failing", [0, 1])
def test_failure_on_one_node_ends_the_other_within_five_seconds(launch: Any, failing: int) -> None:
    launch.write(
        f"""
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.environ["TRAINSTACK_RANK"] == "{failing}":
    time.sleep(0.5); print("cannot go on"); sys.exit(7)
time.sleep(300)
""",
        distribution=TWO,
        nodes=2,
        grace_seconds=60,
    )
    assert launch.run() == [1, 1]
    for node in (0, 1):
        failure = launch.report(node).first_failure
        assert failure is not None
        assert (failure.node, failure.rank, failure.exit_code) == (failing, failing, 7)
        assert failure.tail == ("cannot go on",)
    other = launch.report(1 - failing).ranks[0]
    assert other.signal == signal.SIGKILL
    assert 0 <= other.ended - launch.report(failing).ranks[0].ended < 5


@pytest.mark.parametrize("lost", [0, 1])
def test_killed_agent_ends_the_other_node(launch: Any, alive: Callable[[int], bool], lost: int) -> None:
    launch.write(WAITING, distribution=TWO, nodes=2)
    agents = [launch.start(node) for node in (0, 1)]
    launch.until(lambda: both_ready(launch))
    pids = [launch.report(node).ranks[0].pid for node in (0, 1)]
    agents[lost].kill()
    assert agents[1 - lost].wait(5) == 1
    failure = launch.report(1 - lost).first_failure
    assert failure is not None
    assert (failure.node, failure.rank) == (lost, None)
    assert failure.reason == f"the agent of node {lost} was lost"
    launch.until(lambda: not any(map(alive, pids)), seconds=5)


@pytest.mark.parametrize("stopped", [0, 1])
def test_stop_of_one_node_stops_both(launch: Any, stopped: int) -> None:
    launch.write(WAITING, distribution=TWO, nodes=2)
    agents = [launch.start(node) for node in (0, 1)]
    launch.until(lambda: both_ready(launch))
    agents[stopped].send_signal(signal.SIGTERM)
    assert [agent.wait(10) for agent in agents] == [143, 143]
    assert {launch.report(node).state for node in (0, 1)} == {"terminated"}


def test_stop_while_waiting_for_the_others_needs_no_patience(launch: Any) -> None:
    launch.write(WAITING, distribution=TWO, nodes=2)
    agents = [launch.start(0)]
    launch.until(lambda: launch.report(0))
    time.sleep(0.2)
    agents[0].send_signal(signal.SIGTERM)
    assert agents[0].wait(5) == 143


def test_node_that_never_comes_is_named(launch: Any) -> None:
    launch.write(WAITING, distribution=TWO, nodes=2, join_seconds=1)
    assert launch.start(0).wait(10) == 2
    assert launch.report(0).error == "node 1 (127.0.0.1) did not join within 1 s"
    assert launch.report(0).ranks == []


def test_node_0_that_does_not_answer_is_named(launch: Any) -> None:
    plan: LaunchPlan = launch.write(WAITING, distribution=TWO, nodes=2, join_seconds=1)
    assert launch.start(1).wait(10) == 2
    where = f"127.0.0.1:{plan.ports[COORDINATION_PORT]}"
    assert launch.report(1).error == f"node 0 cannot be reached at {where} within 1 s: Connection refused"


def test_taken_port_is_named(launch: Any) -> None:
    plan: LaunchPlan = launch.write(WAITING, distribution=TWO, nodes=2)
    port = plan.ports[COORDINATION_PORT]
    with socket.create_server(("127.0.0.1", port)):
        assert launch.start(0).wait(10) == 2
    assert launch.report(0).error == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_stranger_without_the_key_cannot_join(launch: Any) -> None:
    plan: LaunchPlan = launch.write("print('ran')", distribution=TWO, nodes=2)
    leader = launch.start(0, TRAINSTACK_LAUNCH_KEY="the right one")
    stranger = launch.start(1, TRAINSTACK_LAUNCH_KEY="a wrong one")
    assert stranger.wait(10) == 1
    with socket.create_connection(("127.0.0.1", plan.ports[COORDINATION_PORT]), timeout=5) as silent:
        silent.sendall(b'{"node": 1, "proof": null}\n')
        assert launch.start(1, TRAINSTACK_LAUNCH_KEY="the right one").wait(10) == 0
    assert leader.wait(10) == 0


def test_ranks_do_not_get_the_key(launch: Any) -> None:
    launch.write("import json, os\nprint(json.dumps(dict(os.environ)))")
    assert launch.run(TRAINSTACK_LAUNCH_KEY="secret") == [0]
    assert "secret" not in json.loads(launch.log()).values()
