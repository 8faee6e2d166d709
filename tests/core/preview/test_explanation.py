"""What a preview's document is taken to mean."""

import pytest
from tests.core.preview.documents import RUN, UNKNOWN, preview, retraining, state, step, urn
from tests.core.sample_runs import WRITTEN

from trainstack.core.preview import estimate
from trainstack.core.preview.document import read_preview
from trainstack.core.preview.explanation import explain
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.fields import RunSpec
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.sweeps.record import SweepDirectory, SweepRecord, Trial, sweep_id
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.storage.atomic import write_json


def explained(text, root):
    return explain(read_preview(text), root)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arguments": {"--rate": "0.2"}}, "--rate 0.1 → 0.2"),
        ({"files": {"train.py": "b" * 64}}, "train.py changed"),
        ({"files": {"train.py": "a" * 64, "net.py": "c" * 64}}, "net.py added"),
        ({"trigger": "again"}, "trigger none → again"),
        (
            {"environment": {**RUN["environment"], "digest": "f" * 64, "packages": {"numpy": "2.0.0"}}},
            "package numpy 1.26.4 → 2.0.0",
        ),
        ({"datasets": {"numbers": {"name": "numbers", "version": 2, "digest": "9" * 64}}}, "dataset numbers changed"),
    ],
)
def test_each_difference_of_a_run_is_a_reason(tmp_path, changes, reason):
    [run] = explained(preview(retraining(**changes)), tmp_path).runs
    assert (run.verdict, run.reasons) == ("retrains", [reason])


def test_cost_is_last_duration_times_nodes_times_price(tmp_path):
    found = explained(preview(retraining(arguments={})), tmp_path)
    [run] = found.runs
    assert (run.estimate.seconds, run.estimate.nodes, run.estimate.size) == (1800.0, 2, "STANDARD_NC6")
    assert found.cost == pytest.approx(0.5 * 2 * 0.90)
    assert (found.seconds, found.currency, found.complete) == (1800.0, "USD", True)


@pytest.mark.parametrize(
    ("prices", "compute", "hourly"),
    [
        ('{"standard_nc6": 0.5}', {}, 0.5),
        ('{"STANDARD_NC6/low": 0.11}', {"priority": "low"}, 0.11),
        ("{}", {"priority": "low"}, 0.9 * 0.2),
        ('{"docker": 0.02}', {"vm_size": None}, 0.02),
    ],
)
def test_own_prices_go_before_the_list(tmp_path, prices, compute, hourly):
    config = {"trainstack:prices": prices, "trainstack:currency": "EUR"}
    changed = {"arguments": {}, "compute": {**RUN["compute"], **compute}}
    found = explained(preview(retraining(**changed), config=config), tmp_path)
    assert found.cost == pytest.approx(0.5 * 2 * hourly)
    assert found.currency == "EUR"


@pytest.mark.parametrize("prices", ['{"STANDARD_NC6": "much"}', '{"STANDARD_NC6": -1}', "[1]", "cheap", '{"a": true}'])
def test_prices_that_are_none_are_refused(tmp_path, prices):
    with pytest.raises(InvalidInputError, match="trainstack:prices"):
        explained(preview(config={"trainstack:prices": prices}), tmp_path)


def test_what_nobody_measured_or_priced_is_not_in_the_sum(tmp_path):
    new = {**RUN, "name": "other", "compute": {"target": "local"}}
    found = explained(preview(step("create", None, state("TrainingRun", "other", new))), tmp_path)
    assert (found.seconds, found.cost, found.complete) == (None, None, False)
    assert found.runs[0].verdict == "trains for the first time"


def test_what_depends_on_a_value_that_is_not_known_may_retrain(tmp_path):
    changed = {"datasets": {"numbers": {"name": "numbers", "version": UNKNOWN, "digest": UNKNOWN, "mode": "mount"}}}
    [run] = explained(preview(retraining(**changed)), tmp_path).runs
    assert (run.verdict, run.reasons) == ("may retrain", ["dataset numbers may change"])


def record_run(root, inputs, status=Status.COMPLETED, **facts):
    workspace = Workspace.create(root / inputs["workspace"], "w")
    named = estimate.run_id(inputs)
    assert named
    directory = RunDirectory(workspace.run(named))
    directory.root.mkdir(parents=True)
    directory.write(RunRecord(id=named, name=inputs["name"], status=status, created=1.0, updated=2.0, **facts))
    return named


def test_a_finished_run_is_adopted_and_costs_nothing(tmp_path):
    again = {**RUN, "arguments": {"--rate": "0.05"}}
    named = record_run(tmp_path, again, duration=900.0)
    found = explained(preview(retraining(arguments={"--rate": "0.05"})), tmp_path)
    [run] = found.runs
    assert (run.verdict, run.adopted) == ("adopts a finished run", named)
    assert not found.training
    assert not found.cost


def test_a_new_run_is_estimated_by_the_last_of_its_name(tmp_path):
    record_run(tmp_path, {**RUN, "arguments": {"--rate": "0.05"}}, duration=900.0)
    [run] = explained(preview(step("create", None, state("TrainingRun", "fit", RUN))), tmp_path).runs
    assert (run.verdict, run.estimate.seconds) == ("trains for the first time", 900.0)


def test_a_broken_run_is_not_adopted(tmp_path):
    record_run(tmp_path, {**RUN, "arguments": {}}, status=Status.INTERRUPTED)
    assert explained(preview(retraining(arguments={})), tmp_path).runs[0].verdict == "retrains"


def test_models_and_services_that_follow_are_told_in_words(tmp_path):
    before = {"name": "net", "run_id": "r1", "path": "outputs/model"}
    served = {
        "name": "web",
        "model_name": "net",
        "model_version": 3,
        "model_digest": "d",
        "labels": {"stable": "latest"},
    }
    text = preview(
        retraining(arguments={}),
        step(
            "update",
            state("Model", "net", before, {**before, "version": 3}),
            state("Model", "net", {**before, "run_id": UNKNOWN}, run_id=urn("TrainingRun", "fit")),
        ),
        step(
            "update",
            state("WebService", "web", served, served),
            state("WebService", "web", {**served, "model_version": UNKNOWN, "model_digest": UNKNOWN}),
        ),
        step("delete", state("WebService", "old", served, served), None),
    )
    words = [f"{one.kind} {one.name} {one.text}" for one in explained(text, tmp_path).downstream]
    assert words == [
        "Model net gets a new version after version 3 from run fit, unless its files are the same",
        "WebService web switches from version 3 of net to the new version, if that differs; stable follows it",
        "WebService old is stopped",
    ]


def test_changed_files_of_a_folder_that_is_a_model_are_named(tmp_path):
    before = {"name": "net", "path": "net", "contents": "a", "files": {"weights": "1", "old": "2"}}
    after = {**before, "contents": "b", "files": {"weights": "3", "old": "2"}}
    text = preview(
        step("update", state("Model", "net", before, {**before, "version": 3}), state("Model", "net", after))
    )
    assert explained(text, tmp_path).downstream[0].text == "gets a new version after version 3 (weights changed)"


def test_what_a_refresh_found_hides_no_step_after_it(tmp_path):
    old = state("TrainingRun", "fit", RUN, {**RUN, "run_id": "r1"})
    changed = retraining(arguments={"--rate": "0.2"})
    [run] = explained(preview(step("refresh", old, old), changed), tmp_path).runs
    assert (run.verdict, run.reasons) == ("retrains", ["--rate 0.1 → 0.2"])
    lost = explained(preview(step("refresh", old, None), step("create", None, old)), tmp_path)
    assert [run.name for run in lost.runs] == ["fit"]
    assert explained(preview(step("refresh", old, old)), tmp_path).runs == []


def test_settings_of_a_run_that_stays_are_no_training(tmp_path):
    old = state("TrainingRun", "fit", RUN, {**RUN, "duration": 5.0})
    found = explained(preview(step("update", old, state("TrainingRun", "fit", {**RUN, "timeout": 9}))), tmp_path)
    assert found.runs == []
    assert found.downstream[0].text == "stays as it is; its settings change (timeout)"


def test_the_same_secret_hides_and_changes_nothing(tmp_path):
    secret = {"secret_variables": {"TOKEN": "[secret]"}}
    [run] = explained(preview(retraining(**secret, arguments={"--rate": "0.1"})), tmp_path).runs
    assert run.reasons == ["secret variable TOKEN added"]


def test_a_failed_preview_tells_its_errors(tmp_path):
    diagnostics = [{"severity": "error", "message": "<{%reset%}>run fit: script is missing<{%reset%}>\n"}]
    found = explained(preview(diagnostics=diagnostics), tmp_path)
    assert found.errors == ["run fit: script is missing"]


@pytest.mark.parametrize("text", ["", "error: no stack selected", "Logging in\nerror: {", "[]"])
def test_what_is_no_preview_is_refused_with_what_it_was(text):
    with pytest.raises(InvalidInputError, match="not what `pulumi preview --json` prints"):
        read_preview(text)


def test_lines_before_the_document_do_no_harm():
    assert read_preview("warning: a new version\n" + preview(same=4)).unchanged == 4


SWEEP = {
    **RUN,
    "name": "tune",
    "space": {"--rate": {"kind": "uniform", "low": 0.1, "high": 0.2}},
    "metric": "accuracy",
    "goal": "maximize",
    "max_trials": 10,
    "compute": {**RUN["compute"], "max_nodes": 4},
}


def test_a_sweep_is_estimated_by_its_concurrent_trials(tmp_path):
    record_run(tmp_path, {**SWEEP, "arguments": {"--rate": "0.15"}}, duration=3600.0)
    found = explained(preview(step("create", None, state("Sweep", "tune", SWEEP))), tmp_path)
    [run] = found.runs
    assert (run.verdict, run.estimate.trials, run.estimate.last) == ("searches", 10, 3600.0)
    assert found.seconds == 5 * 3600
    assert found.cost == pytest.approx(10 * 2 * 0.90)


def test_a_sweep_never_takes_longer_than_its_limit(tmp_path):
    limited = {**SWEEP, "max_duration": 1800}
    found = explained(preview(step("create", None, state("Sweep", "tune", limited))), tmp_path)
    assert found.seconds == 1800
    assert found.cost == pytest.approx(0.5 * 2 * 2 * 0.90)


def test_a_sweep_goes_on_with_the_trials_that_are_left(tmp_path):
    workspace = Workspace.create(tmp_path / RUN["workspace"], "w")
    fixed = RunSpec.from_inputs(SWEEP)
    directory = SweepDirectory(workspace.sweep(sweep_id(fixed, "tune", "accuracy", "maximize")))
    trials = [Trial(number=number, state="completed") for number in range(10)]
    asked = {"space": {"parameters": SWEEP["space"]}, "metric": "accuracy", "max_trials": 10}
    run = {"name": "tune", "spec": fixed.model_dump(mode="json"), **WRITTEN}
    write_json(directory.root / "spec.json", {"name": "tune", "search": asked, "run": run, "source": "scripts"})
    record = {"metric": "accuracy", "goal": "maximize", "total": 10, "created": 1, "updated": 2}
    directory.write(SweepRecord(id=directory.id, name="tune", status="completed", trials=trials, **record))
    assert estimate.trials_left(SWEEP, tmp_path) == 0
    more = {**SWEEP, "max_trials": 14}
    assert estimate.trials_left(more, tmp_path) == 4
    [change] = explained(
        preview(step("update", state("Sweep", "tune", SWEEP), state("Sweep", "tune", more))), tmp_path
    ).runs
    assert (change.verdict, change.reasons, change.estimate.trials) == ("searches on", ["max_trials changed"], 4)
    # Where it runs may change without a trial.
    moved = {**SWEEP, "timeout": 5}
    assert (
        explained(preview(step("update", state("Sweep", "tune", SWEEP), state("Sweep", "tune", moved))), tmp_path).runs
        == []
    )
