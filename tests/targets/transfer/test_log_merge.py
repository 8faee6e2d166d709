"""The common log of nodes that write apart: every line once, whoever is killed when."""

import json

import pytest

from trainstack.targets.transfer.log_merge import MergedLog


@pytest.fixture
def root(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path


def add(root, node, text):
    with (root / "logs" / f"node-{node}.txt").open("a") as file:
        file.write(text)


def common(root):
    return (root / "logs" / "run.txt").read_text()


def test_complete_lines_are_merged_first(root):
    log = MergedLog(root, 2)
    log.begin()
    add(root, 0, "a\nb")
    log.grown("logs/node-0.txt")
    add(root, 1, "c\n")
    log.grown("logs/node-1.txt")
    log.grown("logs/rank-0.txt")
    assert common(root) == "a\nc\n"
    log.end()
    assert common(root) == "a\nc\nb\n"


def test_nothing_is_kept_twice_once_all_is_merged(root):
    log = MergedLog(root, 2)
    log.begin()
    add(root, 0, "a\n")
    add(root, 1, "b")
    log.end()
    assert [path.name for path in (root / "logs").iterdir()] == ["run.txt"]
    # A node that is asked again sends all of it again.
    add(root, 0, "a\n")
    MergedLog(root, 2).resume()
    assert common(root) == "a\nb\n"
    # The next attempt's nodes begin with logs of their own.
    (root / "logs" / "node-0.txt").unlink()
    again = MergedLog(root, 2)
    again.begin()
    add(root, 0, "c\n")
    again.end()
    assert common(root) == "a\nb\nc\n"


def test_an_append_before_a_kill_is_not_repeated(root):
    log = MergedLog(root, 2)
    log.begin()
    add(root, 0, "a\n")
    log.grown("logs/node-0.txt")
    add(root, 0, "b\n")
    with (root / "logs" / "run.txt").open("a") as file:
        file.write("b\n")  # killed before the note
    add(root, 1, "c\n")
    MergedLog(root, 2).resume()
    assert sorted(common(root)) == sorted("a\nb\nc\n")
    MergedLog(root, 2).resume()
    assert common(root).count("b") == 1
    assert json.loads((root / "joined.json").read_text())["offsets"] == {"0": 4, "1": 2}


def test_a_new_attempt_takes_what_is_there_as_joined(root):
    (root / "logs" / "run.txt").write_text("earlier, elsewhere\n")
    add(root, 0, "earlier\n")
    log = MergedLog(root, 2)
    log.begin()
    add(root, 0, "now\n")
    log.grown("logs/node-0.txt")
    assert common(root) == "earlier, elsewhere\nnow\n"
