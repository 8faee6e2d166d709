"""An elastic Horovod run whose workers are killed for real."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from trainstack.agent.plan import Horovod

TRAINING = """
import os, sys, time
import tensorflow as tf
import horovod.tensorflow as hvd
from horovod.common.elastic import ObjectState

hvd.init()
state = ObjectState(hvd.broadcast_object, hvd.rank, batch=0, total=0.0)

@hvd.elastic.run
def train(state):
    while True:
        state.total += float(hvd.allreduce(tf.constant(1.0), name="one", op=hvd.Average))
        state.batch += 1
        time.sleep(0.02)
        if state.batch % 10 == 0:
            print("batch", state.batch, "rank", hvd.rank(), "of", hvd.size(), flush=True)
            state.commit()
        enough = hvd.allreduce(tf.constant(float(os.path.exists("stop"))), name="stop", op=hvd.Sum)
        if float(enough):
            return

train(state)
assert state.total == state.batch, (state.total, state.batch)
print("end", state.batch)
"""


@pytest.mark.tensorflow
def test_a_killed_rank_0_resumes_and_its_slot_returns(launch: Any, horovod_python: Path) -> None:
    distribution = Horovod(processes_per_node=2, min_workers=1, max_workers=2)
    launch.write(TRAINING, distribution=distribution, cores=2, rank_variables={"WHERE": "{rank}"})
    agent = launch.start(python=str(horovod_python))
    launch.until(lambda: batches(launch, 0, "rank 0 of 2"), seconds=120)

    os.kill(launch.report().ranks[0].pid, signal.SIGKILL)
    alone = launch.until(lambda: batches(launch, 1, "rank 0 of 1"), seconds=60)
    together = batches(launch, 1, "rank 1 of 2")
    assert 0 < alone[0] - together[-1] <= 10  # a commit every 10 batches

    launch.until(lambda: batches(launch, 0, "rank 1 of 2"), seconds=120)
    again = batches(launch, 0, "rank 1 of 2")
    assert again[0] > alone[-1] - 10
    (launch.folder / "code" / "stop").touch()
    assert agent.wait(60) == 0, launch.merged
    ends = re.findall(r"^end (\d+)$", launch.log(0) + launch.log(1), re.MULTILINE)
    assert len(ends) == 2
    assert ends[0] == ends[1]
    report = launch.report()
    assert report.state == "succeeded"
    assert [(rank.rank, rank.exit_code, rank.signal) for rank in report.ranks] == [
        (0, None, signal.SIGKILL),
        (1, 0, None),
        (0, 0, None),
    ]
    assert "trainstack: rank 0 was ended by SIGKILL; its slot is free again in 10 s\n" in launch.merged


@pytest.mark.tensorflow
def test_script_that_fails_in_every_worker_ends_the_run(launch: Any, horovod_python: Path) -> None:
    launch.write(
        "import os, sys, time\ntime.sleep(1 + int(os.environ['HOROVOD_RANK']))\nprint('no')\nsys.exit(4)",
        distribution=Horovod(2, min_workers=1, max_workers=2),
    )
    assert launch.run(str(horovod_python)) == [1]
    failure = launch.report().first_failure
    assert failure is not None
    assert (failure.rank, failure.exit_code, failure.tail) == (0, 4, ("no",))


@pytest.mark.tensorflow
def test_elastic_run_is_stopped_like_any_other(launch: Any, horovod_python: Path) -> None:
    launch.write(
        "import time\nprint('ready', flush=True)\ntime.sleep(300)",
        distribution=Horovod(2, min_workers=1, max_workers=2),
    )
    agent = launch.start(python=str(horovod_python))
    launch.until(lambda: launch.log(0) == launch.log(1) == "ready\n")
    begun = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 143
    assert time.monotonic() - begun < 5
    assert launch.report().state == "terminated"


def batches(launch: Any, slot: int, place: str) -> list[int]:
    return [int(found) for found in re.findall(rf"^batch (\d+) {place}$", launch.log(slot), re.MULTILINE)]
