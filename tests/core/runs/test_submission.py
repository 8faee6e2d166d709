"""Runs with a real supervisor: adopt, attach, resume, fail, stop; nothing is lost when a process is killed."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from tests.core.sample_runs import SCRIPT, calls_a_program, imports_from, printed
from tests.waiting import until

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.maintenance.fsck import verify
from trainstack.core.runs import artifacts
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.submission import Outcome
from trainstack.core.runs.index import newest, resolve
from trainstack.errors import RunFailedError, TrainstackError
from trainstack.targets.local.orphans import processes


def test_a_run_goes_through_four_stages_and_keeps_outputs(workspace, source, request_for):
    submitted = submission.submit(workspace, request_for({"--steps": 2}), source, {})
    record = submission.follow(submitted.directory)
    assert submitted.outcome is Outcome.STARTED
    assert record.status is Status.COMPLETED
    assert [stage.name.value for stage in record.stages] == ["preparing", "scaling", "running", "finalizing"]
    assert all(stage.ended is not None for stage in record.stages)
    assert set(record.outputs) == {"seen.json", "model/weights"}
    assert (submitted.directory.outputs / "model" / "weights").read_text() == "2"
    assert "step 2" in submitted.directory.merged_log.read_text()
    kinds = [json.loads(line)["kind"] for line in (submitted.directory.root / "events.jsonl").read_text().splitlines()]
    assert kinds == ["submitted", "stage", "stage", "stage", "stage", "end"]


def test_the_same_run_again_is_adopted_and_nothing_trains(workspace, source, request_for):
    first = submission.submit(workspace, request_for(), source, {})
    record = submission.follow(first.directory)
    again = submission.submit(workspace, request_for(), source, {})
    assert again.outcome is Outcome.ADOPTED
    assert again.directory.read() == record


def test_the_script_gets_nothing_of_the_shell(workspace, source, request_for, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for scripts")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "nor this")
    (source / "train.py").write_text(
        "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('outputs/seen.json', 'w'))"
    )
    request = request_for({"--b": "x y", "--a": 1.0}, environment_variables={"V": "1"}, secret_variables=("TOKEN",))
    run = submission.submit(workspace, request, source, {"TOKEN": "sesame"}).directory
    submission.follow(run)
    argv, variables = json.loads((run.outputs / "seen.json").read_text())
    assert argv == ["--a", "1", "--b", "x y"]
    assert variables["V"] == "1"
    assert variables["TOKEN"] == "sesame"
    assert variables["TRAINSTACK_RUN_ID"] == run.id
    assert not {"AWS_SECRET_ACCESS_KEY", "PULUMI_CONFIG_PASSPHRASE", "TRAINSTACK_LAUNCH_KEY"} & variables.keys()


def test_a_script_calls_a_program_of_its_folder(workspace, source, request_for):
    calls_a_program(source)
    run = submission.submit(workspace, request_for(), source, {}).directory
    submission.follow(run)
    assert run.merged_log.read_text() == "prepared\n"


def test_a_declared_import_path_reaches_the_script(workspace, source, request_for):
    imports_from(source, "src")
    run = submission.submit(workspace, request_for(environment_variables={"PYTHONPATH": "src"}), source, {}).directory
    submission.follow(run)
    assert run.merged_log.read_text() == "found\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("open('model.h5', 'w'); open('outputs/x', 'w')", "wrote model.h5 in its working folder"),
        (
            "import os; os.mkdir('saved'); open('saved/b', 'w'); open('a.h5', 'w')",
            "left nothing in ./outputs; wrote a.h5, saved/b in its working folder",
        ),
        (
            "[open(f'{n:03}', 'w') for n in range(107)]",
            "left nothing in ./outputs; wrote 000, 001, 002, 003, 004 and 102 more in its working folder",
        ),
        ("import os; os.mkdir('__pycache__'); open('__pycache__/a.pyc', 'w'); open('logs/x', 'w')", ""),
    ],
    ids=["with outputs", "without", "many", "nothing"],
)
def test_what_a_run_writes_beside_its_outputs_is_named(workspace, source, request_for, script, said):
    (source / "train.py").write_text(script)
    run = submission.submit(workspace, request_for(), source, {}).directory
    record = submission.follow(run)
    assert artifacts.beside_outputs(run, record) == said


def test_an_output_with_a_name_that_is_not_utf8_is_named(workspace, source, request_for):
    (source / "train.py").write_text("open(b'outputs/caf\\xe9.bin', 'w'); open('outputs/x', 'w'); open(b'\\xe9', 'w')")
    run = submission.submit(workspace, request_for(), source, {}).directory
    record = submission.follow(run)
    assert list(record.outputs) == ["x"]
    assert artifacts.misnamed(run) == r"outputs/caf\xe9.bin: no output, because the name is not UTF-8"
    assert artifacts.beside_outputs(run, record) == r"wrote \xe9 in its working folder"
    assert artifacts.drift(run, record) == []
    assert list(artifacts.listing(run.root, "outputs")) == ["outputs/x"]
    assert verify(workspace).damages == []


def test_a_secret_is_in_no_file_and_no_command_line(workspace, source, request_for):
    request = request_for({"--steps": 20, "--pause": 0.1}, secret_variables=("TOKEN",))
    run = submission.submit(workspace, request, source, {"TOKEN": "open-sesame-4711"}).directory
    until(lambda: printed(run, "step 1"))
    command_lines = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.is_file())
    assert b"open-sesame-4711" not in command_lines
    submission.stop(run, "seen enough")
    (run.outputs / "seen.json").unlink()  # the script's own doing: it writes down what it was given
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert not [path for path in files if b"open-sesame-4711" in path.read_bytes()]


def test_a_failing_script_shows_code_last_lines_and_log(workspace, source, request_for):
    run = submission.submit(workspace, request_for({"--exit": 3}), source, {}).directory
    with pytest.raises(RunFailedError) as caught:
        submission.follow(run)
    text = str(caught.value)
    assert "code 3" in text
    assert "about to fail" in text
    assert str(run.merged_log) in text
    record = run.read()
    assert record.status is Status.FAILED
    assert record.failure is not None
    assert record.failure.exit_code == 3


def test_a_failed_run_is_tried_again_from_its_checkpoint(workspace, source, request_for):
    (source / "train.py").write_text(SCRIPT.replace('if "--exit" in arguments:', "if not resumed:"))
    request = request_for({"--steps": 2, "--exit": 3})
    run = submission.submit(workspace, request, source, {}).directory
    with pytest.raises(RunFailedError):
        submission.follow(run)
    again = submission.submit(workspace, request, source, {})
    assert again.outcome is Outcome.RESUMED
    record = submission.follow(again.directory)
    assert again.directory.id == run.id
    assert record.attempt == 2
    assert printed(run, "starting at 2")
    until(lambda: not run.has_supervisor())
    assert not run.checkpoints.exists()


def test_a_second_submission_attaches_to_the_run_under_way(workspace, source, request_for):
    request = request_for({"--steps": 15, "--pause": 0.1})
    outcomes = []
    records = []

    def one() -> None:
        submitted = submission.submit(workspace, request, source, {})
        outcomes.append(submitted.outcome)
        records.append(submission.follow(submitted.directory))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == [Outcome.ATTACHED, Outcome.STARTED]
    assert [record.attempt for record in records] == [1, 1]


def test_the_next_submission_resumes_after_a_killed_supervisor(workspace, source, request_for):
    request = request_for({"--steps": 40, "--pause": 0.1})
    run = submission.submit(workspace, request, source, {}).directory
    until(lambda: printed(run, "step 3"))
    supervisor = run.read().supervisor
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not run.has_supervisor())
    assert run.read().status is Status.INTERRUPTED
    with pytest.raises(RunFailedError, match="interrupted"):
        submission.follow(run)
    until(lambda: not processes(run.root), 15)
    again = submission.submit(workspace, request, source, {})
    assert again.outcome is Outcome.RESUMED
    record = submission.follow(again.directory)
    assert record.attempt == 2
    starts = [line for line in run.merged_log.read_text().splitlines() if line.startswith("starting at")]
    assert int(starts[1].split()[-1]) >= 3


def test_a_stopped_run_is_canceled_and_leaves_no_process(workspace, source, request_for):
    run = submission.submit(workspace, request_for({"--steps": 600, "--pause": 0.1}), source, {}).directory
    until(lambda: printed(run, "step 1"))
    record = submission.stop(run, "enough")
    assert record.status is Status.CANCELED
    assert record.reason == "enough"
    assert not processes(run.root)


def test_stopping_what_does_not_run_says_so(workspace, source, request_for):
    run = submission.submit(workspace, request_for(), source, {}).directory
    submission.follow(run)
    until(lambda: not run.has_supervisor())
    with pytest.raises(TrainstackError, match="nothing to stop"):
        submission.stop(run, "enough")


def test_a_run_over_its_time_is_ended_and_says_so(workspace, source, request_for):
    run = submission.submit(
        workspace, request_for({"--steps": 600, "--pause": 0.1}, timeout=0.5, grace=1), source, {}
    ).directory
    with pytest.raises(RunFailedError, match=r"timeout of 0\.5 s"):
        submission.follow(run)
    until(lambda: not run.has_supervisor())
    assert not processes(run.root)


def test_runs_wait_for_a_free_node_and_say_so(workspace, source, request_for):
    one = ComputeSpec(name="one", max_nodes=1)
    first = submission.submit(
        workspace, request_for({"--steps": 60, "--pause": 0.1}, compute=one), source, {}
    ).directory
    until(lambda: printed(first, "step 1"))
    second = submission.submit(workspace, request_for({"--steps": 1}, compute=one), source, {}).directory
    until(lambda: second.read().status is Status.SCALING and "waiting for 1 of 1" in second.read().reason)
    until(lambda: second.read().status is Status.COMPLETED)
    assert first.read().status is Status.COMPLETED
    ended, started = first.read().stages[2].ended, second.read().stages[2].started
    assert ended is not None
    assert ended <= started


def test_progress_shows_stage_and_last_line(workspace, source, request_for):
    lines = []
    # Long enough for a slow machine to look at it while it runs.
    submitted = submission.submit(workspace, request_for({"--steps": 30, "--pause": 0.1}), source, {})
    submission.follow(submitted.directory, lines.append)
    assert any("step" in line and " · running " in line for line in lines)


def test_a_damaged_record_without_history_says_what_to_do(workspace, source, request_for):
    run = submission.submit(workspace, request_for(), source, {}).directory
    submission.follow(run)
    until(lambda: not run.has_supervisor())
    (run.root / "run.json").write_text('{"id": "x", "na')
    (run.root / "events.jsonl").unlink()
    with pytest.raises(TrainstackError, match=r"run\.json is damaged"):
        run.read()


def test_runs_are_found_by_id_start_and_name(workspace, source, request_for):
    run = submission.submit(workspace, request_for(), source, {}).directory
    submission.follow(run)
    assert [record.id for record in newest(workspace)] == [run.id]
    assert {resolve(workspace, reference).id for reference in (run.id, run.id[:5], "tiny")} == {run.id}
    with pytest.raises(TrainstackError, match="no run 'other'"):
        resolve(workspace, "other")


def test_a_look_never_keeps_a_supervisor_from_starting(workspace, source, request_for):
    looking = threading.Event()
    directory = RunDirectory(workspace.run(request_for().spec.run_id))
    directory.root.mkdir(parents=True)

    def look() -> None:
        while not looking.is_set():
            directory.has_supervisor()

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            with directory.lock() as mine:
                assert mine
    finally:
        looking.set()
        for looker in lookers:
            looker.join()


def test_only_begun_runs_start_over_the_quota(workspace, source, request_for):
    failed = submission.submit(workspace, request_for({"--steps": 1, "--exit": 3}), source, {}).directory
    with pytest.raises(RunFailedError):
        submission.follow(failed)
    small = workspace.limited(10)
    with pytest.raises(TrainstackError, match=r"quota: run tiny needs 0 bytes, .* of the 10 that quota_gib allows"):
        submission.submit(small, request_for({"--steps": 2}), source, {})
    assert submission.submit(small, request_for({"--steps": 1, "--exit": 3}), source, {}).outcome is Outcome.RESUMED
    with pytest.raises(RunFailedError):
        submission.follow(failed)
    again = submission.submit(small.limited(None), request_for({"--steps": 2}), source, {})
    assert submission.follow(again.directory).status is Status.COMPLETED
