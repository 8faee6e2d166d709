"""A machine starts again after a power cut: lock files and process ids in the workspace are those of before."""

import json
import os
import signal
import subprocess
import time

import pytest
from tests.core.sample_runs import SCRIPT, printed, request, tiny_environment
from tests.waiting import until

from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.submission import Outcome
from trainstack.core.runs.index import newest
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.targets.local.orphans import processes


@pytest.fixture
def stranger():
    """A process that has got the id of a supervisor of before."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def cut_power(run):
    """Kill all of a run at once, so that none of its processes can put anything in order."""
    supervisor = run.read().supervisor
    assert supervisor is not None
    victims = {supervisor, *processes(run.root)}
    assert len(victims) >= 3, "supervisor, agent, script"
    for pid in victims:
        os.kill(pid, signal.SIGSTOP)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not run.has_supervisor() and not processes(run.root))


def test_locks_and_process_ids_of_before_hold_nothing_up(tmp_path, stranger):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    workspace = Workspace.create(tmp_path / "ws", "ws")
    asked = request(tiny_environment(), source, {"--steps": 12, "--pause": 0.1})
    run = submission.submit(workspace, asked, source, {}).directory
    until(lambda: printed(run, "step 3"))
    cut_power(run)

    for path in (run.root / "lock", run.root / "submit.lock", workspace.records_lock):
        assert path.exists()
        assert not locks.is_locked(path)
    record = json.loads((run.root / "run.json").read_text())
    assert record["status"] == "running"
    (run.root / "run.json").write_text(json.dumps({**record, "supervisor": stranger.pid}))
    (run.root / ".run.json.0a1b2c3d.tmp").write_text(json.dumps(record)[:40])
    # Its last sign of life may lie in the future: the clock is set after the start.
    os.utime(run.root / "heartbeat", (time.time() + 3600, time.time() + 3600))

    assert [listed.status for listed in newest(workspace)] == [Status.INTERRUPTED]
    with pytest.raises(TrainstackError, match="there is nothing to stop"):
        submission.stop(run, "after the start")
    again = submission.submit(workspace, asked, source, {})
    assert again.outcome is Outcome.RESUMED
    assert submission.follow(run).attempt == 2
    starts = [line for line in run.merged_log.read_text().splitlines() if line.startswith("starting at")]
    assert int(starts[1].split()[-1]) >= 3
    assert stranger.poll() is None, "it was not taken for the supervisor"
