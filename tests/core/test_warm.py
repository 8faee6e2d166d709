"""A process that starts others at once: they get what they would get from a new interpreter, and are nobody's child."""

import json
import os

import pytest
from tests.waiting import until

from trainstack.core.daemons import daemonize

MODULE = """
import json, os, sys
preloaded = 0
def preload():
    global preloaded
    preloaded += 1
def main(*words):
    stdin = sys.stdin.read()
    facts = {"words": words, "stdin": stdin, "folder": os.getcwd(), "pid": os.getpid(), "preloaded": preloaded}
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


def started(module, folder, *words, stdin=b""):
    folder.mkdir(exist_ok=True)
    daemonize.start(module, *words, folder=folder, log=folder / "log.txt", stdin=stdin)
    until(lambda: (folder / "facts.json").is_file())
    return json.loads((folder / "facts.json").read_text())


def test_what_it_starts_has_its_arguments_input_folder_and_log(module, tmp_path):
    secret = b"s" * 300_000
    with daemonize.prefork(module):
        facts = started(module, tmp_path / "one", "a", "b c", stdin=secret)
        other = started(module, tmp_path / "two")
    assert facts["words"] == ["a", "b c"]
    assert facts["stdin"] == secret.decode()
    assert facts["folder"] == str(tmp_path / "one")
    assert (tmp_path / "one" / "log.txt").read_text() == "said\n"
    assert facts["session"] not in (os.getsid(0), other["session"])
    assert facts["parent"] != os.getpid()
    assert facts["preloaded"] == other["preloaded"] == 1
    assert other["stdin"] == ""
    # The standard ones, and the listing's own.
    assert len(facts["open"]) == 4


def test_when_it_was_killed_a_new_interpreter_is_started(module, tmp_path):
    with daemonize.prefork(module):
        started(module, tmp_path / "one")
        server = daemonize._prefork_servers[module]._process
        server.kill()
        server.wait()
        assert started(module, tmp_path / "two")["preloaded"] == 0


def test_a_failure_is_in_the_log_and_the_next_one_starts(module, tmp_path):
    with daemonize.prefork(module):
        started(module, tmp_path / "one", "fail")
        until(lambda: "it went wrong" in (tmp_path / "one" / "log.txt").read_text())
        assert started(module, tmp_path / "two")["preloaded"] == 1


def test_without_one_every_start_is_an_interpreter_of_its_own(module, tmp_path):
    assert started(module, tmp_path / "one")["preloaded"] == 0
