"""The table of all ratios: what is noted, and what a regression is."""

import json

import pytest
from benchmarks.machine import RESULTS, Pair, note

from benchmarks import table


def entry(ratio, more_is_better=False):
    return {"what": "x", "ratio": ratio, "ours": "1 s", "theirs": "1 s", "goal": "", "more_is_better": more_is_better}


@pytest.mark.parametrize(
    ("ratio", "committed", "more_is_better", "verdict"),
    [
        (1.0, None, False, "new"),
        (1.1, 1.0, False, "as before"),
        (1.2, 1.0, False, "REGRESSED"),
        (0.8, 1.0, False, "better"),
        (0.8, 1.0, True, "REGRESSED"),
        (1.2, 1.0, True, "better"),
        (0.004, 0.002, False, "as before"),
    ],
)
def test_a_ratio_regresses_when_it_is_worse_than_noise(ratio, committed, more_is_better, verdict):
    assert table.verdict(entry(ratio, more_is_better), committed) == verdict


def test_a_pair_that_is_shown_is_noted_for_the_table(tmp_path, monkeypatch):
    monkeypatch.setenv(RESULTS, str(tmp_path / "noted"))
    Pair([1.0, 1.0], [2.0, 2.0]).row("this / that", "at most 1")
    note("more", 3.0, "3 /s", "1 /s", "5", more_is_better=True)
    entries = table.read(tmp_path / "noted")
    assert [(one["what"], one["ratio"]) for one in entries] == [("this / that", 0.5), ("more", 3.0)]
    text = table.render(entries, {"more": 9.0}, "a machine, Python 3.11", ["serving"])
    assert "a machine, Python 3.11" in text
    assert "| more | 3 /s | 1 /s | 3.00 | 9.00 | REGRESSED | 5 |" in text
    assert "failed: serving" in text


def test_nothing_is_noted_outside_of_make_bench(tmp_path, monkeypatch):
    monkeypatch.delenv(RESULTS, raising=False)
    assert Pair([1.0], [2.0]).row("this", "").startswith("| this | 1.00 s | 2.00 s | 0.50 |")


def test_accepted_ratios_are_those_to_compare_with(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "COMMITTED", tmp_path / "ratios.json")
    table.commit([entry(1.23456)])
    table.commit([{**entry(2.0), "what": "y"}])
    assert json.loads((tmp_path / "ratios.json").read_text()) == {"x": 1.235, "y": 2.0}
