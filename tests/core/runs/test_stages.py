"""What counts as running, on a target that has no place for a run's nodes at first."""

import threading
import time

import pytest
from tests.waiting import until

from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.supervisor import Supervisor
from trainstack.errors import RunFailedError
from trainstack.targets.local.target import LocalTarget


class QueueingTarget(LocalTarget):
    """Starts nodes once there is room, and sends their inputs once that is allowed."""

    def __init__(self):
        self.room, self.inputs_sent = threading.Event(), threading.Event()

    def start(self, ref, group):
        while not self.room.wait(0.02):
            group.waiting("it waits in queue research")
        group.all_running()
        while not self.inputs_sent.wait(0.02):
            group.all_running()
            group.waiting("code and data are being sent")
        return super().start(ref, group)


@pytest.fixture
def queueing():
    return QueueingTarget()


@pytest.fixture
def driven(workspace, source, request_for, monkeypatch, queueing):
    """Submits a run that a thread of this process drives on the target."""
    monkeypatch.setattr(submission, "_start_supervisor", lambda *_: None)
    threads = []

    def submit(arguments=None, **given) -> RunDirectory:
        run = submission.submit(workspace, request_for(arguments, **given), source, {}).directory

        def drive():
            with run.lock() as mine:
                assert mine
                supervisor = Supervisor(run, {})
                monkeypatch.setattr(supervisor, "_target", queueing)
                supervisor.run()

        threads.append(threading.Thread(target=drive))
        threads[-1].start()
        return run

    yield submit
    for event in (queueing.room, queueing.inputs_sent):
        event.set()
    for thread in threads:
        thread.join(60)


def test_time_in_a_queue_is_scaling_and_does_not_count(driven, queueing):
    queueing.inputs_sent.set()
    run = driven({"--steps": 2, "--pause": 0.1})
    until(lambda: run.read().reason == "it waits in queue research")
    assert run.read().status is Status.SCALING
    until(lambda: run.read().stages[-1].seconds > 1)
    released = time.time()
    queueing.room.set()
    record = submission.follow(run)
    names = ["preparing", "scaling", "running", "finalizing"]
    assert [stage.name.value for stage in record.stages] == names
    scaling, running = record.stages[1:3]
    assert scaling.reason == "it waits in queue research"
    assert scaling.ended is not None
    assert running.started >= scaling.ended >= released
    assert record.duration == pytest.approx(running.seconds, abs=0.1)


def test_inputs_on_their_way_to_nodes_count(driven, queueing):
    queueing.room.set()
    run = driven()
    until(lambda: run.read().reason == "code and data are being sent")
    assert run.read().status is Status.RUNNING
    until(lambda: run.read().stages[-1].seconds > 0.5)
    queueing.inputs_sent.set()
    record = submission.follow(run)
    assert record.stages[2].reason == ""
    assert record.duration is not None
    assert record.duration > 0.5


def test_a_timeout_does_not_run_in_the_queue(driven, queueing):
    queueing.inputs_sent.set()
    run = driven({"--steps": 600, "--pause": 0.1}, timeout=0.5, grace=1)
    until(lambda: run.read().reason == "it waits in queue research")
    until(lambda: run.read().stages[-1].seconds > 1)
    queueing.room.set()
    with pytest.raises(RunFailedError, match=r"timeout of 0\.5 s"):
        submission.follow(run)
    assert run.read().stages[-1].name is Status.RUNNING
    assert run.read().stages[-1].seconds >= 0.5


def test_a_run_that_is_stopped_in_the_queue_never_ran(driven):
    run = driven()
    until(lambda: run.read().reason == "it waits in queue research")
    assert submission.stop(run, "not today").status is Status.CANCELED
    record = run.read()
    assert [stage.name.value for stage in record.stages] == ["preparing", "scaling"]
    assert record.stages[-1].ended is not None
    assert record.duration is None
