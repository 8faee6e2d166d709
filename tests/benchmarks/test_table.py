"""The table of all ratios: what is noted, what a regression is, and that it is told and ends `make bench` with 1."""

import json
import sys

import pytest
from benchmarks.machine import RESULTS, Pair, note
from tests.end_to_end.project import REPOSITORY

from benchmarks import __main__ as bench
from benchmarks import table


def entry(ratio, more_is_better=False, what="x"):
    return {"what": what, "ratio": ratio, "ours": "1 s", "theirs": "1 s", "goal": "", "more_is_better": more_is_better}


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
    lines = table.compare({"serving": entries}, {"serving": {"more": 9.0}})
    text = table.render(lines, "a machine, Python 3.11", ["preview"], ["image"])
    assert "a machine, Python 3.11" in text
    assert "| serving | more | 3 /s | 1 /s | 3.00 | 9.00 | REGRESSED | 5 |" in text
    assert "Failed: preview." in text
    assert "Measured nothing here: image." in text


def test_a_committed_ratio_that_is_no_longer_measured_is_told():
    lines = table.compare({"run": [entry(1.0)]}, {"run": {"x": 1.0, "gone": 1.0}, "image": {"y": 1.0}})
    assert [(line.what, line.verdict, line.is_bad) for line in lines] == [
        ("x", "as before", False),
        ("gone", "NOT MEASURED", True),
    ]
    assert "| run | gone |  |  |  | 1.00 | NOT MEASURED |  |" in table.render(lines, "", [])


def test_nothing_is_noted_outside_of_make_bench(tmp_path, monkeypatch):
    monkeypatch.delenv(RESULTS, raising=False)
    assert Pair([1.0], [2.0]).row("this", "").startswith("| this | 1.00 s | 2.00 s | 0.50 |")


def test_accepted_ratios_are_those_to_compare_with(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "COMMITTED", tmp_path / "ratios.json")
    table.commit({"run": [entry(1.23456)], "image": []})
    table.commit({"docker": [entry(2.0, what="y")]})
    assert table.load_committed() == {"run": {"x": 1.235}, "docker": {"y": 2.0}}
    table.commit({"run": [entry(1.0, what="renamed")]})
    assert table.load_committed()["run"] == {"renamed": 1.0}


@pytest.fixture
def make_bench(tmp_path, monkeypatch):
    """`make bench` of one benchmark that notes what it is told, against a committed ratio of 1."""
    monkeypatch.setattr(table, "COMMITTED", tmp_path / "ratios.json")
    table.COMMITTED.write_text(json.dumps({"run": {"x": 1.0}}))

    def run(ratio, *options, fails=False):
        def _run(module, noted):
            if ratio is not None:
                noted.write_text(json.dumps(entry(ratio)) + "\n")
            return not fails

        monkeypatch.setattr(bench, "_run", _run)
        monkeypatch.setattr(sys, "argv", ["bench", "run", "--output", str(tmp_path / "latest.md"), *options])
        return bench.main(), (tmp_path / "latest.md").read_text()

    return run


def test_a_regression_is_shown_and_ends_make_bench_with_1(make_bench):
    code, text = make_bench(1.3)
    assert code == 1
    assert "| run | x | 1 s | 1 s | 1.30 | 1.00 | REGRESSED |  |" in text
    assert make_bench(1.1)[0] == 0
    assert make_bench(1.3, "--accept")[0] == 0
    assert make_bench(1.3)[0] == 0


def test_a_benchmark_that_fails_or_measures_nothing_is_named(make_bench):
    code, text = make_bench(1.0, fails=True)
    assert code == 1
    assert "Failed: run." in text
    code, text = make_bench(None)
    assert code == 0
    assert "Measured nothing here: run." in text


def test_make_bench_runs_every_benchmark_and_has_its_ratios():
    folder = REPOSITORY / "benchmarks"
    measuring = {path.stem for path in folder.glob("*.py") if "\nfrom benchmarks.machine import" in path.read_text()}
    by_hand = {path.stem for path in folder.glob("*.py") if 'metavar="ADDRESS"' in path.read_text()}
    assert measuring - {"__main__", "loopback"} - by_hand == set(bench.MODULES)
    committed = table.load_committed()
    assert committed.keys() == set(bench.MODULES)
    assert [name for name, ratios in committed.items() if not ratios] == []
    readme = (folder / "README.md").read_text()
    assert [name for name in bench.MODULES if f"| `{name}` |" not in readme] == []
