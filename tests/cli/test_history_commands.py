"""What the commands of the history and of sweeps print."""

import json

import pytest
from tests.core.sample_runs import request
from tests.core.sweeps.conftest import SCRIPT
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.runs.execution import submission
from trainstack.core.sweeps import sweep
from trainstack.core.sweeps.record import Search, SweepRequest
from trainstack.core.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A workspace with a sweep of two trials, and a run of other code."""
    from tests.core.sample_runs import tiny_environment

    root = tmp_path_factory.mktemp("searched")
    workspace = Workspace.create(root / "ws", "ws")
    source = root / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    packages = tiny_environment()
    search = {"space": {"parameters": {"--rate": {"kind": "choice", "values": [0.3, 0.5]}}}}
    asked = Search.model_validate({**search, "metric": "score", "sampler": "grid"})
    run = request(packages, source, {"--steps": 3})
    sweep.follow(sweep.submit(workspace, SweepRequest(name="tune", search=asked, run=run, source=str(source)), {}))
    (source / "train.py").write_text(SCRIPT.replace("/ 1000", "/ 100"))
    done = submission.submit(workspace, request(packages, source, {"--steps": 4, "--rate": 0.3}), source, {})
    submission.follow(done.directory)
    return workspace


def said(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*words, "--workspace", str(workspace.root)])
    assert result.exit_code == code, result.output
    return result.output


def test_a_sweep_is_listed_and_shown_with_its_best_trial_first(searched):
    assert "2/2 best 1.003 (rate 0.3)" in said(searched, "sweeps", "list")
    shown = json.loads(said(searched, "sweeps", "show", "tune", "--json"))
    assert [trial["state"] for trial in shown["trials"]] == ["completed"] * 2
    assert said(searched, "sweeps", "show", shown["id"][:6]).splitlines()[2].startswith(str(shown["best"]))
    assert "there is nothing to stop" in said(searched, "sweeps", "stop", "tune", code=1)


def test_two_runs_are_compared_in_arguments_metrics_and_code(searched):
    printed = said(searched, "runs", "compare", "tune-0", "tiny")
    assert "--steps  3" in printed
    assert "+++ B/train.py" in printed
    found = json.loads(said(searched, "runs", "compare", "tune-0", "tiny", "--json"))
    assert found["arguments"]["--steps"] == ["3", "4"]
    assert found["metrics"]["score"][1] == 1.04
    assert "nothing that decides the result differs" in said(searched, "runs", "compare", "tiny", "tiny")


def test_a_metric_is_plotted_in_the_terminal_and_into_files(searched, tmp_path):
    assert "score" in said(searched, "runs", "plot", "tiny")
    said(searched, "runs", "plot", "tiny", "score", "--with", "tune-0", "--to", str(tmp_path / "a.svg"))
    assert (tmp_path / "a.svg").read_text().count("<svg") == 1
    said(searched, "runs", "plot", "tiny", "--to", str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "there is score" in said(searched, "runs", "plot", "tiny", "loss", code=1)


def test_several_metrics_are_plotted_and_one_point_is_told(searched):
    printed = CliRunner().invoke(app, ["runs", "plot", "tiny", "score", "--workspace", str(searched.root)])
    assert printed.exit_code == 0
    assert "missing" in said(searched, "runs", "plot", "tiny", "score", "missing", code=1)


def test_tensorboard_says_when_there_is_nothing_to_show(searched):
    assert "wrote no TensorBoard logs" in said(searched, "tensorboard", "tiny", code=1)
