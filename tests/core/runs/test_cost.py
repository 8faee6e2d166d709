"""What a run comes to, and the limit that ends it."""

import json

import pytest
from tests.waiting import until
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.history.mlflow_run import MlflowRun
from trainstack.core.runs import cost
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.events import record_from_events
from trainstack.core.runs.execution import submission
from trainstack.core.runs.record import RunRecord, Stage
from trainstack.errors import InvalidInputError, RunFailedError

PRICED = ComputeSpec(name="local", prices={"LOCAL": 3600.0, "local/low": 360.0}, currency="EUR")


def submitted(workspace, request, source):
    return submission.submit(workspace, request, source, {}).directory


def test_a_run_keeps_what_its_nodes_came_to(workspace, source, request_for):
    run = submitted(workspace, request_for({"--steps": 3, "--pause": 0.1}, compute=PRICED), source)
    submission.follow(run)
    record = run.read()
    assert record.node_seconds == pytest.approx(record.duration, abs=0.5)
    # One coin a second.
    assert record.cost == pytest.approx(record.node_seconds)
    assert record.currency == "EUR"
    again = record_from_events(run.root)
    assert again is not None
    assert (again.node_seconds, again.cost, again.currency) == (record.node_seconds, record.cost, "EUR")
    shown = json.loads(
        CliRunner().invoke(app, ["runs", "show", run.id, "--workspace", str(workspace.root), "--json"]).stdout
    )
    assert shown["cost"] == {
        "node_seconds": round(record.node_seconds or 0, 3),
        "priority": "dedicated",
        "amount": round(record.cost or 0, 6),
        "currency": "EUR",
    }
    table = CliRunner().invoke(app, ["runs", "show", run.id, "--workspace", str(workspace.root)]).stdout
    assert f"{record.cost:.2f} EUR for" in table


def test_a_run_over_its_cost_ends_in_order_and_goes_on_when_more_is_allowed(workspace, source, request_for):
    arguments = {"--steps": 60, "--pause": 0.1}
    run = submitted(workspace, request_for(arguments, compute=PRICED, max_cost=1.5, grace=5), source)
    with pytest.raises(RunFailedError, match=r"stopped as it has cost its max_cost of 1\.50 EUR: raise `max_cost`"):
        submission.follow(run)
    until(lambda: not run.has_supervisor())
    first = run.read()
    assert first.status is Status.FAILED
    assert 1.4 < (first.node_seconds or 0) < 6
    # The same again has nothing left to spend, and starts no node.
    submitted(workspace, request_for(arguments, compute=PRICED, max_cost=1.5), source)
    with pytest.raises(RunFailedError, match="max_cost"):
        submission.follow(run)
    until(lambda: not run.has_supervisor())
    assert run.read().node_seconds == pytest.approx(first.node_seconds)
    submitted(workspace, request_for({**arguments}, compute=PRICED, max_cost=500), source)
    submission.follow(run)
    assert run.read().status is Status.COMPLETED
    assert (run.read().node_seconds or 0) > (first.node_seconds or 0)


def test_nodes_of_all_attempts_count_and_time_in_a_queue_does_not(request_for):
    request = request_for(compute=PRICED.model_copy(update={"max_nodes": 2, "priority": "low"}))
    request = request.model_copy(
        update={"spec": request.spec.model_copy(update={"distribution": {"kind": "single", "node_count": 1}})}
    )
    record = RunRecord.submitted("0" * 16, "r", {})
    record.earlier_node_seconds = 100
    record.stages = [
        Stage(name=Status.SCALING, started=0, ended=500),
        Stage(name=Status.RUNNING, started=500, ended=520),
        Stage(name=Status.FINALIZING, started=520, ended=600),
    ]
    spent = cost.so_far(record, request)
    assert (spent.node_seconds, spent.low, str(spent)) == (120, True, "12.00 EUR")


def test_a_limit_without_a_price_is_refused():
    with pytest.raises(
        InvalidInputError, match=r"max_cost: nobody knows what a node of compute 'c' costs: set trainstack"
    ):
        cost.check_priced(ComputeSpec(name="c"), "max_cost")
    cost.check_priced(ComputeSpec(name="c", vm_size="g6.xlarge"), "max_cost")


def test_the_history_has_what_a_run_came_to(workspace, source, request_for):
    logged = {}

    class Server:
        def find_run(self, *_):
            return "1"

        def log(self, _run, *, tags=None, **_):
            logged.update(tags or {})

        def __getattr__(self, _name):
            return lambda *_, **__: None

    run = submitted(workspace, request_for({"--steps": 1}, compute=PRICED), source)
    submission.follow(run)
    mirrored = MlflowRun(Server(), "0", RunDirectory(run.root), None)  # type: ignore[arg-type]
    mirrored._sync_tags(run.read())
    assert logged["trainstack.cost"].endswith(" EUR")
    assert float(logged["trainstack.node_seconds"]) == pytest.approx(run.read().node_seconds, abs=0.1)
