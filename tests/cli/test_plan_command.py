"""`trainstack plan` and `trainstack compare`: the words, and what others' names may not do to a comment."""

import json

import pytest
from tests.core.preview.documents import RUN, exported, preview, retraining, state, step
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.cli.markdown import LIMIT, code, words


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, text=None):
        return CliRunner().invoke(app, list(arguments), input=text)

    return invoke


def test_the_comment_says_what_retrains_why_time_and_cost(run):
    result = run("plan", "--markdown", "-", text=preview(retraining(arguments={"--rate": "0.2"})))
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "<!-- trainstack plan dev -->"
    assert lines[1] == "### Trainstack, stack `dev`: 1 run trains, about 30 min 0 s, 0.90 USD"
    assert "| `fit` | retrains | `--rate 0.1 → 0.2` | 30 min 0 s | 2 x `STANDARD_NC6` | 0.90 USD |" in lines
    assert "3 resources stay as they are." in lines


def test_nothing_to_do_is_one_line(run):
    assert run("plan", "-", text=preview(same=7)).output == "nothing changes\n  7 resources stay as they are\n"


def test_a_failed_preview_ends_with_1_and_says_why(run):
    failed = preview(diagnostics=[{"severity": "error", "message": "script 'trian.py' is not there"}])
    result = run("plan", "--markdown", "-", text=failed)
    assert result.exit_code == 1
    assert "the preview failed" in result.output
    assert "trian.py" in result.output


def test_json_has_the_sums(run):
    document = json.loads(run("plan", "--json", "-", text=preview(retraining(arguments={}))).output)
    assert document["seconds"] == 1800
    assert document["cost"] == pytest.approx(0.9)
    assert document["runs"][0]["verdict"] == "retrains"


def test_names_and_values_of_others_stay_text_in_the_comment(run):
    evil = "x` | @everyone <img src=//a> [link](http://b) ```\n\n# big"
    new = {**RUN, "arguments": {"--rate": evil}}
    text = preview(
        step("replace", state("TrainingRun", evil, RUN, {**RUN, "duration": 1}), state("TrainingRun", evil, new)),
        step("create", None, state("WebService", "web", {"model_name": evil})),
    )
    output = run("plan", "--markdown", "-", text=text).output
    [row] = [line for line in output.splitlines() if "retrains" in line]
    assert row.replace(r"\|", "").count("|") == 7
    [follower] = [line for line in output.splitlines() if line.startswith("- service")]
    assert "<img" not in follower
    assert "](" not in follower
    assert "@everyone" not in follower
    assert not [line for line in output.splitlines() if line.startswith("# ")]


@pytest.mark.parametrize("value", ["a`b", "``", "`", "a|b", " "])
def test_a_code_span_ends_where_its_value_ends(value):
    span = code(value)
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)]


def test_prose_calls_nobody_and_links_nowhere():
    assert "@team" not in words("ask @team")
    assert "http://" not in words("see http://x")


def test_a_comment_is_never_longer_than_a_host_takes(run):
    many = [step("create", None, state("Dataset", f"{'d' * 250}{number}", {})) for number in range(400)]
    output = run("plan", "--markdown", "-", text=preview(*many)).output
    assert len(output) < LIMIT + 200
    assert "lines more" in output


def test_without_a_file_and_without_pulumi_it_says_what_to_do(run, monkeypatch):
    monkeypatch.setattr("trainstack.cli.preview.pulumi_command.pulumi_program", lambda: None)
    result = run("plan")
    assert result.exit_code == 1
    assert "pulumi is not on PATH" in result.stderr


def test_compare_shows_metric_deltas(run, tmp_path):
    def states(version, accuracy):
        return exported(
            state("TrainingRun", "fit", {}, {"run_id": f"r{version}", "metrics": {"accuracy": accuracy}}),
            state("Model", "net", {}, {"run_id": f"r{version}", "version": version, "digest": f"d{version}"}),
            state("WebService", "web", {"model_name": "net"}),
        )

    (tmp_path / "before.json").write_text(states(1, 0.9))
    (tmp_path / "after.json").write_text(states(2, 0.95))
    output = run("compare", "--markdown", "before.json", "after.json").output
    assert "**`net`**: version 1 → 2, served by `web`" in output
    assert "| `accuracy` | 0.9 | 0.95 | +0.05 |" in output
    assert "+0.05" in run("compare", "before.json", "after.json").output
