"""TensorFlow's strategies through TF_CONFIG."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.agent.plans import plan

from trainstack.agent.errors import LaunchError
from trainstack.agent.plan import FIRST_TASK_PORT, LaunchPlan, TensorFlow
from trainstack.agent.ranks.tasks import all_tasks
from trainstack.agent.strategies.tensorflow import check_config, cluster_of

TELL_CONFIG = "import os\nprint(os.environ['TF_CONFIG'])"


def test_every_worker_gets_its_place_in_one_cluster(launch: Any) -> None:
    written: LaunchPlan = launch.write(TELL_CONFIG, distribution=TensorFlow(3), nodes=3)
    assert launch.run() == [0, 0, 0]
    addresses = [f"127.0.0.1:{port}" for port in written.ports[FIRST_TASK_PORT:]]
    for rank in range(3):
        assert json.loads(launch.log(rank)) == {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": rank},
        }


def test_the_chief_shares_worker_0s_node() -> None:
    planned = plan(TensorFlow(workers=2, parameter_servers=1), 3, nodes=("a", "b", "c"))
    p = planned.ports[FIRST_TASK_PORT:]
    assert [(task.rank, task.role, task.index, task.node, task.runs_script) for task in all_tasks(planned)] == [
        (0, "chief", 0, 0, True),
        (1, "worker", 0, 0, False),
        (2, "worker", 1, 1, False),
        (3, "ps", 0, 2, False),
    ]
    assert cluster_of(planned) == {"chief": [f"a:{p[0]}"], "worker": [f"a:{p[1]}", f"b:{p[2]}"], "ps": [f"c:{p[3]}"]}


def test_servers_share_nodes_of_workers_from_the_last() -> None:
    planned = plan(TensorFlow(workers=2, parameter_servers=3), 2, nodes=("a", "b"))
    planned.check()
    places = [(task.role, task.index, task.node, task.local_rank, task.local_size) for task in all_tasks(planned)]
    assert places == [
        ("chief", 0, 0, 0, 3),
        ("worker", 0, 0, 1, 3),
        ("worker", 1, 1, 0, 3),
        ("ps", 0, 1, 1, 3),
        ("ps", 1, 0, 2, 3),
        ("ps", 2, 1, 2, 3),
    ]


@pytest.mark.parametrize(
    ("cluster", "task", "words"),
    [
        ({"worker": ["a:1", "a:1"]}, ("worker", 0), "2 tasks share the address a:1"),
        ({"worker": ["a:1", "a:2"]}, ("worker", 2), "there is no worker 2, the cluster has 2"),
        ({"worker": ["a:1", "a:2"]}, ("ps", 0), "the cluster has no ps, only worker"),
        ({"chief": ["a:1", "a:2"], "worker": ["a:3"]}, ("chief", 0), "one chief at most"),
        ({"worker": ["a:1"], "ps": ["a:2"]}, ("ps", 0), "need a chief and workers"),
    ],
)
def test_config_that_would_hang_is_refused(cluster: Any, task: tuple[str, int], words: str) -> None:
    with pytest.raises(LaunchError) as caught:
        check_config({"cluster": cluster, "task": {"type": task[0], "index": task[1]}})
    assert words in str(caught.value)


@pytest.mark.tensorflow
def test_multi_worker_strategy_reduces_over_both_workers(launch: Any, horovod_python: Path) -> None:
    launch.write(
        """
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
index = strategy.cluster_resolver.task_id
@tf.function
def step():
    return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.constant(index + 1.0)))
print("sum", float(step()), "of", strategy.num_replicas_in_sync)
""",
        distribution=TensorFlow(2),
        nodes=2,
    )
    assert launch.run(str(horovod_python), seconds=180) == [0, 0], launch.merged
    for rank in (0, 1):
        assert launch.log(rank).endswith("sum 3.0 of 2\n")


@pytest.mark.tensorflow
def test_parameter_servers_end_when_the_chief_does(
    launch: Any, horovod_python: Path, alive: Callable[[int], bool]
) -> None:
    launch.write(
        """
import tensorflow as tf
resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
strategy = tf.distribute.ParameterServerStrategy(resolver)
coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
with strategy.scope():
    total = tf.Variable(0.0)
@tf.function
def step():
    total.assign_add(1.0, use_locking=True)
    return tf.constant(0)
for _ in range(20):
    coordinator.schedule(step)
coordinator.join()
print("total", float(total), total.device)
""",
        distribution=TensorFlow(workers=2, parameter_servers=1),
        nodes=3,
    )
    assert launch.run(str(horovod_python), seconds=180) == [0, 0, 0], launch.merged
    assert launch.log(0).endswith("total 20.0 /job:ps/replica:0/task:0/device:CPU:0\n")
    ranks = [rank for node in range(3) for rank in launch.report(node).ranks]
    assert [(rank.rank, rank.role, rank.index, rank.stopped) for rank in ranks] == [
        (0, "chief", 0, False),
        (1, "worker", 0, True),
        (2, "worker", 1, True),
        (3, "ps", 0, True),
    ]
    assert not any(alive(rank.pid) for rank in ranks)


@pytest.mark.tensorflow
def test_lost_server_ends_the_run(launch: Any, horovod_python: Path) -> None:
    launch.write(
        "import time\nprint('ready')\ntime.sleep(300)",
        distribution=TensorFlow(workers=1, parameter_servers=1),
        nodes=2,
    )
    agents = [launch.start(node, str(horovod_python)) for node in (0, 1)]
    launch.until(lambda: "serves at" in launch.log(2), seconds=120)
    import os
    import signal

    os.kill(launch.report(1).ranks[0].pid, signal.SIGKILL)
    assert [agent.wait(10) for agent in agents] == [1, 1]
    failure = launch.report(0).first_failure
    assert failure is not None
    assert failure.reason == "rank 2 (ps 0) was ended by SIGKILL"
