"""`trainstack runs logs`: what a run prints, once, or until it ends."""

import contextlib
import json
import signal
import subprocess

import pytest

from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution import submission

FIVE = "import time\nfor step in range(5):\n    print('step', step, flush=True)\n    time.sleep(0.2)\n"


@pytest.fixture
def following(program):
    """`runs logs --follow` as a program of its own, ended with the test."""
    command, variables = program
    processes = []

    def follow(*words):
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*command, "runs", "logs", "-f", *words], stdout=pipe, stderr=pipe, env=variables, text=True
        )
        processes.append(process)
        return process

    yield follow
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def supervised(written, holding):
    """A run that somebody drives until the test lets go of it; its first words are not printed yet."""
    directory = written("aaaa000000000000", status=Status.PREPARING, reason="installing 3 packages")
    with contextlib.ExitStack() as held:
        held.enter_context(holding(directory.root / "lock"))
        yield directory, held.close


def put(directory: RunDirectory, status: Status) -> None:
    record = directory.read()
    record.status, record.reason = status, ""
    directory.write(record)


def test_a_log_is_printed_byte_for_byte(written, cli):
    directory = written("aaaa000000000000")
    directory.logs.mkdir()
    text = b"[bold]10%[/bold]\r20%\r\x1b[31mred\x1b[0m :smile: \xff\xfe no end"
    directory.merged_log.write_bytes(text)
    result = cli("runs", "logs", "aaaa")
    assert result.stdout_bytes == text
    assert result.stderr == ""


def test_following_a_real_run_prints_all_of_it_and_ends_with_it(started, cli):
    directory = started(FIVE)
    result = cli("runs", "logs", directory.id, "--follow")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"step {number}" for number in range(5)]
    assert directory.read().status is Status.COMPLETED
    assert result.stderr.splitlines()[-1] == f"run tiny ({directory.id}) completed"


def test_following_begins_before_there_is_a_log(supervised, following):
    directory, let_go = supervised
    process = following("aaaa")
    assert process.stderr.readline() == "run mnist (aaaa000000000000) preparing: installing 3 packages\n"
    directory.logs.mkdir()
    with directory.merged_log.open("a", buffering=1) as log:
        log.write("first\n")
        assert process.stdout.readline() == "first\n"
        log.write("second\n")
        assert process.stdout.readline() == "second\n"
        log.write("last words, without an end")
    put(directory, Status.COMPLETED)
    let_go()
    said, noted = process.communicate(timeout=30)
    assert (said, process.returncode) == ("last words, without an end", 0)
    assert noted == "run mnist (aaaa000000000000) completed\n"


def test_ctrl_c_ends_following_quietly_and_leaves_the_run_alone(supervised, following):
    directory, _ = supervised
    process = following("aaaa")
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    said, noted = process.communicate(timeout=30)
    assert (said, noted, process.returncode) == ("", "", 130)
    assert directory.has_supervisor()
    assert not (directory.root / "stop").exists()


def test_following_goes_on_through_another_submission(written, following, holding):
    directory = written("aaaa000000000000", status=Status.INTERRUPTED, reason="killed")
    directory.logs.mkdir()
    directory.merged_log.write_text("attempt 1\n")
    with holding(directory.root / "submit.lock"):
        process = following("aaaa")
        assert process.stdout.readline() == "attempt 1\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
    assert process.wait(30) == 0


def test_following_a_run_that_never_started_ends_and_says_so(written, cli):
    written("aaaa000000000000", status=Status.PREPARING, reason="starting", attempt=0)
    result = cli("runs", "logs", "aaaa", "-f")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "never started, its submission was killed: run `pulumi up` again" in result.stderr


def test_the_lines_of_one_rank_are_found_in_the_log(written, cli):
    directory = written("aaaa000000000000", request={"distribution": {"kind": "horovod", "node_count": 2}})
    directory.logs.mkdir()
    (directory.logs / "run.txt").write_text("[1] I am 1\n[0] I am 0\ntrainstack: hello\n[1] bye\n[0] bye\n")
    assert cli("runs", "logs", "aaaa", "--rank", "1").stdout == "I am 1\nbye\n"
    assert cli("runs", "logs", "aaaa", "--rank", "1", "--lines", "1").stdout == "bye\n"
    assert cli("runs", "logs", "aaaa", "--rank", "0", "--lines", "0").stdout == ""
    beyond = cli("runs", "logs", "aaaa", "--rank", "2")
    assert (beyond.exit_code, beyond.stderr) == (
        1,
        "error: run aaaa000000000000 has no rank 2: it has ranks 0 to 1\n",
    )


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\nb\nc\n", 3, "a\nb\nc\n"),
        ("a\nb\nc\n", 9, "a\nb\nc\n"),
        ("a\n\n\n", 2, "\n\n"),
        ("a\nb\n", 0, ""),
        ("", 5, ""),
        ("x" * 200_000 + "\nlast\n", 1, "last\n"),
        ("first\n" + "x" * 200_000 + "\nlast\n", 2, "x" * 200_000 + "\nlast\n"),
    ],
)
def test_it_begins_with_the_last_lines_that_are_asked_for(written, cli, text, count, expected):
    directory = written("aaaa000000000000")
    directory.logs.mkdir()
    directory.merged_log.write_text(text)
    result = cli("runs", "logs", "aaaa", "--lines", str(count))
    assert (result.stdout, result.exit_code) == (expected, 0)


def test_a_run_that_printed_nothing_says_so(written, cli):
    written("aaaa000000000000", status=Status.CANCELED)
    result = cli("runs", "logs", "aaaa")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "run mnist (aaaa000000000000), canceled, has printed nothing\n"


def test_json_has_a_document_a_line_with_its_rank(written, cli):
    directory = written("aaaa000000000000", request={"distribution": {"kind": "horovod", "node_count": 2}})
    directory.logs.mkdir()
    directory.merged_log.write_text('[0] say "hi"\n[1] [7] not a rank\ntrainstack: rank 1 ended\n[1] no end')
    result = cli("runs", "logs", "aaaa", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"rank": 0, "line": 'say "hi"'},
        {"rank": 1, "line": "[7] not a rank"},
        {"rank": None, "line": "trainstack: rank 1 ended"},
        {"rank": 1, "line": "no end"},
    ]


def test_json_of_a_single_process_takes_brackets_for_text(started, cli):
    directory = started("print('[3] of 10')\n")
    submission.follow(directory)
    for words in ([], ["--rank", "0"], ["--follow"]):
        result = cli("runs", "logs", "tiny", "--json", *words)
        assert [json.loads(line) for line in result.stdout.splitlines()] == [{"rank": 0, "line": "[3] of 10"}]
        assert result.stderr == ""
