"""Horovod ranks through its own rendezvous, on one and on two simulated nodes."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from trainstack.agent.plan import RENDEZVOUS_PORT, Horovod, LaunchPlan
from trainstack.agent.ranks.interfaces import interface_of
from trainstack.agent.ranks.tasks import tasks_of
from trainstack.agent.strategies.horovod import HorovodStrategy
from trainstack.agent.strategies.horovod_variables import launch_variables, tuning_variables

TELL = """
import json, os
import tensorflow as tf
import horovod.tensorflow as hvd
hvd.init()
total = hvd.allreduce(tf.constant([float(hvd.rank() + 1)] * 3), op=hvd.Sum)
print("told", json.dumps({
    "ranks": [hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size(), hvd.cross_rank(), hvd.cross_size()],
    "sum": total.numpy().tolist(),
    "threads": tf.config.threading.get_intra_op_parallelism_threads() or int(os.environ["TF_NUM_INTRAOP_THREADS"]),
}))
"""


def told(launch: Any, rank: int) -> dict[str, Any]:
    found = re.search(r"^told (.*)$", launch.log(rank), re.MULTILINE)
    assert found, launch.log(rank)
    return json.loads(found[1])


@pytest.mark.tensorflow
def test_four_ranks_on_two_nodes_reduce_to_one_sum(launch: Any, horovod_python: Path) -> None:
    launch.write(TELL, distribution=Horovod(2), nodes=2, cores=2)
    assert launch.run(str(horovod_python), seconds=180) == [0, 0], launch.merged
    # rank, size, local rank, local size, cross rank, cross size: as `horovodrun -H node-0:2,node-1:2` gives them
    assert [told(launch, rank)["ranks"] for rank in range(4)] == [
        [0, 4, 0, 2, 0, 2],
        [1, 4, 1, 2, 0, 2],
        [2, 4, 0, 2, 1, 2],
        [3, 4, 1, 2, 1, 2],
    ]
    assert all(told(launch, rank)["sum"] == [10.0] * 3 for rank in range(4))
    assert all(told(launch, rank)["threads"] == 1 for rank in range(4))


@pytest.mark.tensorflow
def test_two_ranks_keep_the_timeline_and_the_autotune_log(launch: Any, horovod_python: Path) -> None:
    # The timeline begins some steps after the start.
    script = TELL + "for step in range(50): hvd.allreduce(tf.ones([100]), name=f'step-{step % 5}')\n"
    launch.write(script, distribution=Horovod(2, timeline=True, autotune=True, cycle_time_ms=0.5), cores=2)
    assert launch.run(str(horovod_python), seconds=180) == [0], launch.merged
    assert told(launch, 1)["sum"] == [3.0] * 3
    events = json.loads((launch.folder / "outputs" / "horovod-timeline.json").read_text())
    assert any(event.get("name") == "GLOO_ALLREDUCE" for event in events)
    assert "cycle_time_ms" in (launch.folder / "outputs" / "horovod-autotune.csv").read_text()


@pytest.mark.tensorflow
def test_killed_rank_ends_the_gang_within_five_seconds(launch: Any, horovod_python: Path) -> None:
    launch.write(
        """
import os, signal, time
import tensorflow as tf
import horovod.tensorflow as hvd
hvd.init()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for step in range(10**9):
    hvd.allreduce(tf.ones([1000]), name="gradient")
    if step == 20:
        print("training")
        if hvd.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
""",
        distribution=Horovod(2),
        cores=2,
        grace_seconds=60,
    )
    agent = launch.start(python=str(horovod_python))
    launch.until(lambda: launch.log(1).endswith("training\n"), seconds=120)
    begun = time.monotonic()
    assert agent.wait(20) == 1
    assert time.monotonic() - begun < 5
    failure = launch.report().first_failure
    assert failure is not None
    assert (failure.rank, failure.signal, failure.reason) == (1, signal.SIGKILL, "rank 1 was ended by SIGKILL")
    assert failure.tail[-1] == "training"
    assert "[1] training" in launch.merged


@pytest.mark.tensorflow
def test_rendezvous_listens_on_its_own_address_only(launch: Any, horovod_python: Path) -> None:
    plan = launch.write("import time\nprint('ready')\ntime.sleep(60)", distribution=Horovod(2))
    agent = launch.start(python=str(horovod_python))
    launch.until(lambda: launch.log(0) == launch.log(1) == "ready\n")
    port = f":{plan.ports[RENDEZVOUS_PORT]:04X}"
    listening = [row.split()[1] for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [address for address in listening if address.endswith(port)] == [f"0100007F{port}"]
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 143


def test_environment_without_horovod_is_told_so(launch: Any) -> None:
    launch.write("", distribution=Horovod(2))
    assert launch.run() == [2]
    error = launch.report().error
    assert error == "Horovod is not in this environment (No module named 'horovod'): add it, or choose another"
    assert launch.report().ranks == []


def test_options_become_horovods_documented_variables() -> None:
    assert tuning_variables(Horovod(), "/outputs") == {}
    options = Horovod(
        fusion_threshold_mb=32.5,
        cycle_time_ms=3.5,
        cache_capacity=0,
        autotune=True,
        timeline=True,
        stall_check_seconds=0,
        stall_shutdown_seconds=30,
        gloo_timeout_seconds=60,
    )
    assert tuning_variables(options, "/outputs") == {
        "HOROVOD_FUSION_THRESHOLD": "34078720",
        "HOROVOD_CYCLE_TIME": "3.5",
        "HOROVOD_CACHE_CAPACITY": "0",
        "HOROVOD_AUTOTUNE": "1",
        "HOROVOD_AUTOTUNE_LOG": "/outputs/horovod-autotune.csv",
        "HOROVOD_TIMELINE": "/outputs/horovod-timeline.json",
        "HOROVOD_STALL_CHECK_DISABLE": "1",
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "30",
        "HOROVOD_GLOO_TIMEOUT_SECONDS": "60",
    }


def test_what_a_launch_sets_is_what_is_refused_before() -> None:
    options = Horovod(timeline=True)
    plan = LaunchPlan(options, "train.py", "/code", "/outputs", "/reports", ports=(1, 2))
    [task] = tasks_of(plan, 0)
    assert HorovodStrategy(plan, 0, options).variables(task).keys() == launch_variables(options)
    assert "HOROVOD_ELASTIC" in launch_variables(Horovod(min_workers=1, max_workers=2))
    assert "HOROVOD_FUSION_THRESHOLD" not in launch_variables(options)


def test_loopback_is_found_by_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("198.51.100.7") is None
