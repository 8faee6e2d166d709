"""A process that starts others at once: they get what they would get from a new interpreter, and are nobody's child."""

import json
import os

import pytest
from tests.waiting import until

from trainstack.core.daemons import daemonize

MODULE = """
import json, os, sys
warmed = 0
def warm_up():
    global warmed
    warmed += 1
def main(*words):
    given = sys.stdin.read()
    facts = {"words": words, "given": given, "folder": os.getcwd(), "pid": os.getpid(), "warmed": warmed}
    facts |= {"parent": os.getppid(), "session": os.getsid(0), "open": sorted(os.listdir("/proc/self/fd"))}
    print("said", flush=True)
    with open("facts.json.tmp", "w") as file:
        json.dump(facts, file)
    os.rename("facts.json.tmp", "facts.json")
    if words == ("fail",):
        raise SystemExit("it went wrong")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "started_often.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    return "started_often"


def started(module, folder, *words, given=b""):
    folder.mkdir(exist_ok=True)
    daemonize.start(module, *words, folder=folder, log=folder / "log.txt", given=given)
    until(lambda: (folder / "facts.json").is_file())
    return json.loads((folder / "facts.json").read_text())


def test_what_it_starts_has_its_arguments_input_folder_and_log(module, tmp_path):
    secret = b"s" * 300_000
    with daemonize.kept_warm(module):
        facts = started(module, tmp_path / "one", "a", "b c", given=secret)
        other = started(module, tmp_path / "two")
    assert facts["words"] == ["a", "b c"]
    assert facts["given"] == secret.decode()
    assert facts["folder"] == str(tmp_path / "one")
    assert (tmp_path / "one" / "log.txt").read_text() == "said\n"
    assert facts["session"] not in (os.getsid(0), other["session"])
    assert facts["parent"] != os.getpid()
    assert facts["warmed"] == other["warmed"] == 1
    assert other["given"] == ""
    # The standard ones, and the listing's own.
    assert len(facts["open"]) == 4


def test_when_it_was_killed_a_new_interpreter_is_started(module, tmp_path):
    with daemonize.kept_warm(module):
        started(module, tmp_path / "one")
        warm = daemonize._warm[module]._process
        warm.kill()
        warm.wait()
        assert started(module, tmp_path / "two")["warmed"] == 0


def test_a_failure_is_in_the_log_and_the_next_one_starts(module, tmp_path):
    with daemonize.kept_warm(module):
        started(module, tmp_path / "one", "fail")
        until(lambda: "it went wrong" in (tmp_path / "one" / "log.txt").read_text())
        assert started(module, tmp_path / "two")["warmed"] == 1


def test_without_one_every_start_is_an_interpreter_of_its_own(module, tmp_path):
    assert started(module, tmp_path / "one")["warmed"] == 0
