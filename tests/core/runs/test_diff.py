"""What a change would retrain, and why, in words."""

import json
from pathlib import Path

import pytest

from trainstack.core.runs import diff

UNKNOWN = "unknown-sentinel"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "changes.json").read_text(encoding="utf-8"))
RUN = {
    "script": "train.py",
    "files": {"train.py": "1", "net.py": "2"},
    "arguments": {"--lr": "0.01", "--epochs": "12"},
    "datasets": {"mnist": {"name": "mnist", "version": 1.0, "digest": "d1", "mode": "mount"}},
    "environment": {"digest": "e1", "python": "3.11", "packages": {"numpy": "1.26.4"}, "variables": {}},
    "environment_variables": {"SEED": "1"},
    "secret_variables": {"TOKEN": "sesame"},
    "distribution": {"kind": "single", "node_count": 1.0},
    "trigger": "",
    "compute": {"name": "a"},
    "timeout": 10.0,
}


def found(**changes):
    return diff.changes(diff.comparable(RUN, UNKNOWN), diff.comparable({**RUN, **changes}, UNKNOWN))


def test_the_same_run_has_no_changes():
    assert found() == {}


@pytest.mark.parametrize(
    "place", [{"compute": {"name": "b"}}, {"timeout": 20.0}, {"workspace": "/elsewhere"}, {"name": "other"}]
)
def test_where_a_run_is_does_not_count(place):
    assert found(**place) == {}


def test_whole_numbers_are_equal_however_pulumi_hands_them_over():
    assert found(distribution={"kind": "single", "node_count": 1}) == {}


def test_a_new_version_with_the_same_content_does_not_count():
    same = {"mnist": {"name": "mnist", "version": 2.0, "digest": "d1", "mode": "download"}}
    assert found(datasets=same) == {}


@pytest.mark.parametrize(
    ("change", "part", "line"),
    [
        ({"files": {"train.py": "9", "net.py": "2"}}, "files", "train.py changed"),
        ({"files": {"train.py": "1"}}, "files", "net.py removed"),
        ({"executables": ["net.py"]}, "executables", "mode of net.py 644 → 755"),
        ({"files": {"train.py": "1", "net.py": "2", "x.py": "3"}}, "files", "x.py added"),
        ({"arguments": {"--lr": "0.1", "--epochs": "12"}}, "arguments", "--lr 0.01 → 0.1"),
        ({"arguments": {"--lr": "0.01"}}, "arguments", "--epochs removed"),
        ({"datasets": {"mnist": {"digest": "d2"}}}, "datasets", "dataset mnist changed"),
        ({"datasets": {"mnist": {"digest": UNKNOWN}}}, "datasets", "dataset mnist may change"),
        ({"script": "net.py"}, "script", "script train.py → net.py"),
        ({"environment_variables": {"SEED": "2"}}, "environment_variables", "variable SEED 1 → 2"),
        ({"secret_variables": {"KEY": "x"}}, "secret_variables", "secret variable KEY added"),
        ({"distribution": {"kind": "single", "node_count": 2}}, "distribution", "distribution node_count 1 → 2"),
        ({"trigger": "again"}, "trigger", "trigger none → again"),
    ],
)
def test_each_change_is_named(change, part, line):
    assert line in found(**change)[part]


def test_a_changed_package_is_named_with_its_versions():
    environment = {**RUN["environment"], "digest": "e2", "packages": {"numpy": "2.0.0"}}
    assert found(environment=environment) == {"environment": ["package numpy 1.26.4 → 2.0.0"]}


def test_a_secret_never_stands_in_the_reason():
    lines = found(secret_variables={"OTHER": "sesame", "TOKEN": "open"})
    assert "sesame" not in repr(lines)
    assert "open" not in repr(lines)


def test_a_changed_secret_value_does_not_retrain():
    assert found(secret_variables={"TOKEN": "another"}) == {}


def test_the_sentence_names_reasons_and_the_last_duration():
    sentence = diff.reason_line(found(arguments={"--lr": "0.1", "--epochs": "12"}), 42.4)
    assert sentence == "will retrain: --lr 0.01 → 0.1; last run took 42 s"


def test_many_reasons_are_counted_after_the_first_five():
    files = {f"{number}.py": "x" for number in range(9)}
    sentence = diff.reason_line(diff.changes({"files": {}}, {"files": files}), None)
    assert sentence.endswith("4.py added; and 4 more")


@pytest.mark.parametrize(("duration", "text"), [(0.4, "0 s"), (119, "119 s"), (190, "3 min 10 s"), (7500, "2 h 5 min")])
def test_durations_are_for_people(duration, text):
    assert diff.seconds(duration) == text


@pytest.mark.parametrize("case", GOLDEN["cases"].values(), ids=list(GOLDEN["cases"]))
def test_the_words_of_a_change_are_the_written_ones(case):
    before = GOLDEN[case["from"]]
    unknown = GOLDEN["unknown"]
    lines = diff.changes(diff.comparable(before, unknown), diff.comparable({**before, **case["change"]}, unknown))
    assert lines == case["lines"]
    assert (diff.reason_line(lines, 42.4) if lines else "") == case["sentence"]


def test_a_field_that_an_old_state_lacks_changes_nothing():
    before = {name: value for name, value in RUN.items() if name != "trigger"}
    assert diff.changes(diff.comparable(before, UNKNOWN), diff.comparable(RUN, UNKNOWN)) == {}
