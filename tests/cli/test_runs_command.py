"""`trainstack runs list|show|stop|download`."""

import json
import math
import os
import pty
import re
import struct
import subprocess
import termios
from fcntl import ioctl

import pytest
from tests.waiting import until

from trainstack.core.runs.directory import Failure, Status
from trainstack.core.runs.execution import submission
from trainstack.storage.atomic import write_json

ESCAPE = "\x1b"


def test_runs_are_listed_newest_first(written, json_output):
    written("aaaa000000000000", created=1_700_000_000.0)
    written("bbbb000000000000", created=1_700_000_200.0)
    written("cccc000000000000", created=1_700_000_100.0)
    assert [run["id"][:4] for run in json_output("runs", "list")] == ["bbbb", "cccc", "aaaa"]


def test_the_list_is_filtered_by_status_name_and_count(written, json_output):
    written("aaaa000000000000", name="small", created=1.0)
    written("bbbb000000000000", name="large", created=2.0)
    written("cccc000000000000", name="large", created=3.0, status=Status.FAILED)
    written("dddd000000000000", name="large", created=4.0, status=Status.CANCELED)

    def ids(*words):
        return [run["id"][:4] for run in json_output("runs", "list", *words)]

    assert ids("--status", "completed") == ["bbbb", "aaaa"]
    assert ids("--status", "failed", "--status", "canceled") == ["dddd", "cccc"]
    assert ids("--name", "small") == ["aaaa"]
    assert ids("--name", "large", "--limit", "2") == ["dddd", "cccc"]


def test_an_empty_workspace_says_how_runs_come_about(workspace, cli, json_output):
    result = cli("runs", "list")
    assert (result.exit_code, result.stdout) == (0, "workspace tests has no runs yet: `pulumi up` makes them\n")
    assert json_output("runs", "list") == []


def test_a_filter_that_fits_nothing_says_that_there_are_runs(written, cli):
    written("aaaa000000000000")
    assert cli("runs", "list", "--status", "failed").stdout == "none of the 1 runs of workspace tests fits\n"


def test_an_unknown_status_is_refused_and_known_ones_are_named(workspace, cli):
    result = cli("runs", "list", "--status", "done")
    assert result.exit_code == 2
    assert "'done' is none of preparing, scaling, running" in result.stderr


def test_a_piped_list_has_one_whole_row_a_run_without_colours(written, cli):
    name = "a-name-as-long-as-a-name-may-be-" + "x" * 31
    reason = "train.py: rank 0 exited with code 3; its log is " + "/deep" * 40
    written("aaaa000000000000", name=name, status=Status.FAILED, reason=reason)
    lines = cli("runs", "list").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("aaaa000000000000  ")
    assert name in lines[1]
    assert lines[1].endswith(reason)
    assert ESCAPE not in "".join(lines)
    assert not any(line.endswith(" ") for line in lines)


def on_a_terminal(program, columns, *words):
    command, variables = program
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {name: value for name, value in variables.items() if name not in ("COLUMNS", "NO_COLOR")}
    variables["TERM"] = "xterm"
    process = subprocess.Popen([*command, *words], stdin=follower, stdout=follower, stderr=follower, env=variables)
    os.close(follower)
    said = b""
    try:
        while chunk := os.read(leader, 65536):
            said += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(leader)
    assert process.wait() == 0
    return said.decode()


def test_wide_cells_fold_on_a_narrow_terminal(written, program):
    name = "N" * 20 + "M" * 20
    written("aaaa000000000000", name=name)
    said = on_a_terminal(program, 60, "runs", "list")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in said.splitlines()]
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("aaaa000000000000 ") for line in lines)
    assert "".join(re.findall("[NM]", "".join(lines))) == name
    assert "…" not in said
    assert ESCAPE in said


def test_a_run_shows_all_that_is_known_of_it(started, json_output):
    script = (
        "import pathlib, sys\nprint(*sys.argv[1:])\npathlib.Path('outputs/model').mkdir()\n"
        "pathlib.Path('outputs/model/weights').write_text('12345')\n"
    )
    directory = started(
        script, {"--rate": 0.5}, environment_variables={"V": "1"}, secret_variables=("TOKEN",), trigger="again"
    )
    record = submission.follow(directory)
    run = json_output("runs", "show", "tiny")
    assert (run["id"], run["name"], run["status"], run["attempt"]) == (directory.id, "tiny", "completed", 1)
    assert run["fingerprint"].startswith(directory.id)
    assert (run["script"], run["arguments"], run["trigger"]) == ("train.py", {"--rate": "0.5"}, "again")
    assert (run["environment_variables"], run["secret_variables"]) == ({"V": "1"}, ["TOKEN"])
    assert run["environment"]["name"] == "tiny"
    assert run["environment"]["digest"] == directory.request().spec.environment.digest
    assert run["code"] == directory.request().spec.files
    assert [stage["name"] for stage in run["stages"]] == ["preparing", "scaling", "running", "finalizing"]
    assert sum(stage["seconds"] for stage in run["stages"]) == pytest.approx(record.duration, abs=0.5)
    assert run["outputs"] == [{"path": "outputs/model/weights", "bytes": 5, "sha256": record.outputs["model/weights"]}]
    assert run["tags"] == {"stack": "local"}
    assert run["paths"]["log"] == str(directory.merged_log)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", run["created"])


def test_show_prints_the_same_for_people(written, stage, cli):
    written(
        "aaaa000000000000",
        duration=42.4,
        metrics={"accuracy": 0.9784321},
        outputs={"model/weights": "f" * 64},
        stages=[stage(Status.PREPARING, 0, 2), stage(Status.RUNNING, 2, 42.4, "attempt 2")],
        request={
            "arguments": {"--batch-size": "64", "--layers": ["256", "128"], "--fast": True},
            "datasets": {"mnist": "d" * 64},
        },
    )
    said = cli("runs", "show", "aaaa").stdout
    lines = [re.split(r"\s{2,}", line.strip()) for line in said.splitlines()]
    assert ["took", "42 s"] in lines
    assert ["running", "40 s", "attempt 2"] in lines
    assert ["accuracy", "0.978432"] in lines
    assert ["--batch-size", "64"] in lines
    assert ["--layers", "256 128"] in lines
    assert ["train.py", "0" * 64] in lines
    assert ["environment", "tiny " + "e" * 64] in lines
    assert any(line[0] == "mnist" and line[-1] == "d" * 64 for line in lines)


def test_a_failed_run_shows_its_last_lines(written, cli, json_output):
    failure = Failure(rank=0, exit_code=3, tail=["Traceback", "ValueError: [bold]no[/bold]"], log="/log")
    written("aaaa000000000000", status=Status.FAILED, reason="train.py: rank 0 exited with code 3", failure=failure)
    said = cli("runs", "show", "aaaa").stdout
    assert "train.py: rank 0 exited with code 3" in said
    assert "  ValueError: [bold]no[/bold]\n" in said
    assert json_output("runs", "show", "aaaa")["failure"]["exit_code"] == 3


def test_a_running_run_shows_the_metrics_logged_so_far(written, json_output, stage):
    directory = written("aaaa000000000000", status=Status.RUNNING, stages=[stage(Status.RUNNING, 0, None)])
    metrics = directory.tracking / "rank-0" / "0" / "run" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "loss").write_text("1000 0.75 1\n2000 0.5 2\n")
    with directory.lock() as mine:
        assert mine
        run = json_output("runs", "show", "aaaa")
    assert (run["status"], run["metrics"]) == ("running", {"loss": 0.5})


def test_numbers_that_json_does_not_have_are_null(written, cli, json_output):
    directory = written("aaaa000000000000", metrics={"loss": math.nan, "norm": math.inf, "accuracy": 0.5})
    assert "NaN" in (directory.root / "run.json").read_text()
    assert json_output("runs", "show", "aaaa")["metrics"] == {"loss": None, "norm": None, "accuracy": 0.5}
    assert "loss nan" in cli("runs", "list").stdout


def test_markup_and_control_characters_are_shown_as_text(written, cli):
    written("aaaa000000000000", name="[red]x[/red] \x1b[31m:smile:", tags={"[b]": "[/b]"})
    listed, shown = cli("runs", "list").stdout, cli("runs", "show", "aaaa").stdout
    assert "[red]x[/red] :smile:" in listed
    assert ESCAPE not in listed + shown
    assert "[b]  [/b]" in shown


def test_a_cut_off_run_is_interrupted_and_its_clock_stops(written, json_output, stage):
    directory = written("aaaa000000000000", status=Status.RUNNING, stages=[stage(Status.RUNNING, 0, None)])
    record = json.loads((directory.root / "run.json").read_text())
    write_json(directory.root / "run.json", {**record, "updated": record["stages"][0]["started"]})
    heartbeat = directory.root / "heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (0, record["stages"][0]["started"] + 7))
    run = json_output("runs", "show", "aaaa")
    assert (run["status"], run["reason"]) == ("interrupted", "its supervisor was killed while running")
    assert run["seconds"] == 7


def test_a_run_without_a_readable_request_is_still_shown(written, cli, json_output):
    directory = written("aaaa000000000000")
    for content in ("{", '{"name": "mnist"}', None):
        (directory.root / "spec.json").unlink()
        if content is not None:
            (directory.root / "spec.json").write_text(content)
        run = json_output("runs", "show", "aaaa")
        assert run["status"] == "completed"
        assert "arguments" not in run
        assert cli("runs", "show", "aaaa").exit_code == 0
        (directory.root / "spec.json").touch()


def test_many_code_files_are_cut_for_people_and_whole_in_json(written, cli, json_output):
    files = {f"module_{number:03}.py": "0" * 64 for number in range(100)}
    written("aaaa000000000000", request={"files": files})
    assert "and 70 more (--json lists all)" in cli("runs", "show", "aaaa").stdout
    assert json_output("runs", "show", "aaaa")["code"] == files


def test_a_run_is_named_by_id_start_of_id_or_name(written, json_output):
    written("aaaa000000000000", name="old", created=1.0)
    written("aabb000000000000", name="new", created=2.0)
    written("aacc000000000000", name="new", created=3.0)
    assert json_output("runs", "show", "aaaa000000000000")["id"] == "aaaa000000000000"
    assert json_output("runs", "show", "aab")["id"] == "aabb000000000000"
    assert json_output("runs", "show", "new")["id"] == "aacc000000000000"


def test_a_missing_or_unclear_run_is_one_line_of_error(written, cli):
    written("aaaa000000000000")
    written("aabb000000000000")
    missing, unclear = cli("runs", "show", "zz"), cli("runs", "show", "aa")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr == "error: no run 'zz' in workspace tests: see `trainstack runs list`\n"
    assert unclear.exit_code == 1
    assert unclear.stderr.startswith("error: 'aa' fits 2 runs (")
    assert len(unclear.stderr.splitlines()) == 1


LOOP = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"


def test_stop_waits_for_the_end_and_says_which_it_was(started, cli):
    directory = started(LOOP)
    until(lambda: directory.merged_log.is_file() and "begun" in directory.merged_log.read_text())
    result = cli("runs", "stop", directory.id)
    assert result.exit_code == 0
    assert result.stdout == f"run tiny ({directory.id}) canceled: stopped by `trainstack runs stop`\n"
    assert not directory.has_supervisor()
    assert directory.read().status is Status.CANCELED


def test_stop_tells_programs_the_runs_new_state(started, json_output):
    directory = started(LOOP)
    until(lambda: directory.read().status is Status.RUNNING)
    assert json_output("runs", "stop", "tiny")["status"] == "canceled"


def test_there_is_nothing_to_stop_in_an_ended_run(written, cli):
    written("aaaa000000000000")
    result = cli("runs", "stop", "aaaa")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: run aaaa000000000000 is completed: there is nothing to stop\n"


def test_download_copies_what_starts_with_the_prefix(written, cli, json_output, tmp_path):
    directory = written("aaaa000000000000")
    (directory.outputs / "model").mkdir(parents=True)
    (directory.outputs / "model" / "weights").write_bytes(b"w")
    (directory.outputs / "table.csv").write_bytes(b"t")
    directory.logs.mkdir()
    directory.merged_log.write_bytes(b"log")
    result = cli("runs", "download", "aaaa", "outputs/model", "--to", str(tmp_path / "to"))
    assert result.stdout == f"{tmp_path}/to/outputs/model/weights\n"
    assert (tmp_path / "to" / "outputs" / "model" / "weights").read_bytes() == b"w"
    assert not (tmp_path / "to" / "outputs" / "table.csv").exists()
    copies = json_output("runs", "download", "aaaa", "--to", str(tmp_path / "all"))
    assert [path.removeprefix(f"{tmp_path}/all/") for path in copies] == [
        "logs/run.txt",
        "outputs/model/weights",
        "outputs/table.csv",
    ]


def test_a_download_that_cannot_be_says_so_in_one_line(written, cli, tmp_path):
    directory = written("aaaa000000000000")
    directory.outputs.mkdir()
    (directory.outputs / "table.csv").write_bytes(b"t")
    nothing = cli("runs", "download", "aaaa", "outputs/model", "--to", str(tmp_path))
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "no file of run aaaa000000000000 starts with 'outputs/model'" in nothing.stderr
    (tmp_path / "file").write_bytes(b"")
    blocked = cli("runs", "download", "aaaa", "--to", str(tmp_path / "file"))
    assert blocked.exit_code == 1
    assert blocked.stderr.startswith("error: ")
    assert len(blocked.stderr.splitlines()) == 1
    onto_itself = cli("runs", "download", "aaaa", "--to", str(directory.root))
    assert onto_itself.exit_code == 1
    assert (directory.outputs / "table.csv").read_bytes() == b"t"
