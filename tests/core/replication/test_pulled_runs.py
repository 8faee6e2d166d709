"""Real runs that were pushed to a real S3 server go on where they were pulled."""

import os
import signal

from tests.core.sample_runs import printed
from tests.waiting import until

from trainstack.core.replication.copies import pull, push
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.submission import Outcome
from trainstack.storage.addresses import open_store


def elsewhere(workspace, address, tmp_path):
    """The workspace on a machine that had nothing."""
    push(workspace, open_store(address))
    return pull(open_store(address), tmp_path / "elsewhere")[0]


def test_a_completed_run_is_adopted_there(workspace, source, request_for, bucket_address, tmp_path, monkeypatch):
    monkeypatch.delenv("TRAINSTACK_CACHE")
    record = submission.follow(submission.submit(workspace, request_for({"--steps": 3}), source, {}).directory)
    copy = elsewhere(workspace, bucket_address, tmp_path)
    adopted = submission.submit(copy, request_for({"--steps": 3}), source, {})
    assert (adopted.outcome, adopted.directory.read()) == (Outcome.ADOPTED, record)
    assert (adopted.directory.outputs / "model" / "weights").read_text() == "3"


def test_an_interrupted_run_resumes_there(workspace, source, request_for, bucket_address, tmp_path, monkeypatch):
    monkeypatch.delenv("TRAINSTACK_CACHE")
    request = request_for({"--steps": 12, "--pause": 0.1})
    run = submission.submit(workspace, request, source, {}).directory
    until(lambda: printed(run, "step 3"))
    os.kill(run.read().supervisor or 0, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    until(lambda: not run.has_supervisor())
    copy = elsewhere(workspace, bucket_address, tmp_path)
    resumed = submission.submit(copy, request, source, {})
    record = submission.follow(resumed.directory)
    assert (resumed.outcome, record.status, record.attempt) == (Outcome.RESUMED, Status.COMPLETED, 2)
    starts = [line for line in resumed.directory.merged_log.read_text().splitlines() if "starting at" in line]
    assert int(starts[-1].split()[-1]) >= 3
    assert RunDirectory(copy.run(run.id)).outputs.joinpath("model", "weights").read_text() == "12"
