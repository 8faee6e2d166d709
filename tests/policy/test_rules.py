"""Each rule of the policy pack: what it refuses, what it lets by, and what it cannot know yet."""

import pytest
from tests.core.preview.documents import RUN, UNKNOWN
from tests.core.preview.test_explanation import record_run

from trainstack.errors import InvalidInputError
from trainstack.policy import rules
from trainstack.policy.budget import Budget, BudgetSettings


@pytest.fixture
def violations_of(tmp_path):
    def ask(rule, kind, inputs, **settings):
        types = {
            rules.node_limits: rules.NodeLimits,
            rules.registered_datasets: rules.Datasets,
            rules.gate_metric: rules.Gate,
            rules.service_key: rules.ServiceKey,
        }
        chosen = types.get(rule, rules.NoSettings).model_validate(settings)
        return [*rule(kind, inputs, chosen, tmp_path)]

    return ask


@pytest.mark.parametrize(
    ("kind", "inputs", "settings", "violation"),
    [
        ("Compute", {"max_nodes": 5}, {"maxNodes": 4}, "max_nodes 5 is over the limit of 4"),
        ("Compute", {"max_nodes": 4}, {"maxNodes": 4}, None),
        ("Compute", {"max_nodes": UNKNOWN, "vm_size": UNKNOWN}, {"maxNodes": 4, "maxGpus": 0}, None),
        ("Compute", {"max_nodes": 3, "vm_size": "standard_nc24"}, {"maxGpus": 8}, "have 12 GPUs, over the limit of 8"),
        ("Compute", {"max_nodes": 2, "vm_size": "STANDARD_NC24"}, {"maxGpus": 8}, None),
        ("Compute", {"vm_size": "STANDARD_NC6"}, {"sizes": ["STANDARD_D2_V2"]}, "is none of STANDARD_D2_V2"),
        ("Compute", {"vm_size": "STANDARD_D2_V2"}, {"sizes": ["standard_d2_v2"]}, None),
        ("TrainingRun", {"distribution": {"node_count": 6}}, {"maxNodes": 4}, "takes 6 nodes, over the limit of 4"),
        ("Compute", {"max_nodes": 500}, {}, None),
    ],
)
def test_node_limits(violations_of, kind, inputs, settings, violation):
    violations = violations_of(rules.node_limits, kind, inputs, **settings)
    assert (
        [violation in message for message in violations] == [True] * bool(violation) if violation else violations == []
    )


@pytest.mark.parametrize(
    ("inputs", "refused"),
    [
        ({"target": "docker", "priority": "dedicated"}, True),
        ({"target": "kubernetes"}, True),
        ({"target": "docker", "priority": "low"}, False),
        ({"target": "docker", "priority": UNKNOWN}, False),
        ({"target": "local", "priority": "dedicated"}, False),
    ],
)
def test_low_priority(violations_of, inputs, refused):
    assert bool(violations_of(rules.low_priority, "Compute", inputs)) is refused


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"--data": "/mnt/data"}, True),
        ({"--data": "s3://bucket/train"}, True),
        ({"--data": "https://host/x.csv"}, True),
        ({"--data": "../other"}, True),
        ({"--data": "~/data"}, True),
        ({"--data": r"C:\data"}, True),
        ({"--data": ["a", "/b"]}, True),
        (["--data=/mnt/data"], True),
        (["train", "/mnt"], True),
        ({"--data": "${dataset:numbers}", "--rate": "0.1", "--name": "a/b"}, False),
        ({"--data": UNKNOWN}, False),
        ({"--cache": "/tmp/cache"}, False),
        (UNKNOWN, False),
    ],
)
def test_registered_datasets(violations_of, arguments, refused):
    inputs = {**RUN, "arguments": arguments}
    assert bool(violations_of(rules.registered_datasets, "TrainingRun", inputs, elsewhere=["/tmp/"])) is refused


def test_only_the_named_datasets_are_taken(violations_of):
    assert violations_of(rules.registered_datasets, "TrainingRun", RUN, names=["numbers"]) == []
    assert violations_of(rules.registered_datasets, "TrainingRun", RUN, names=["mnist"]) == [
        "dataset numbers is none of mnist"
    ]


@pytest.mark.parametrize(
    ("spec", "violations"),
    [
        ({"packages": ["numpy==1.26.4", "six===1.17.0"]}, 0),
        ({"packages": ["numpy>=1.26", "six"]}, 2),
        ({"packages": ["numpy==1.*"]}, 1),
        ({"packages": ["numpy==1.26.4,>1"]}, 1),
        ({"packages": ["numpy==1.26.4 ; python_version < '3.12'"]}, 0),
        ({"curated": "tensorflow-2.15"}, 0),
        ({"image": "team/train:latest"}, 1),
        ({"image": f"team/train@sha256:{'a' * 64}"}, 0),
        ({"packages": ["six==1.17.0"], "base_image": "python:3.11"}, 1),
        ({"conda": {"dependencies": ["python=3.11", "pip", {"pip": ["six"]}]}}, 1),
        (UNKNOWN, 0),
    ],
)
def test_pinned_environments(violations_of, spec, violations):
    spec_inputs = {"name": "e", **spec} if isinstance(spec, dict) else spec
    assert len(violations_of(rules.pinned_environments, "Environment", {"spec": spec_inputs})) == violations


def test_a_requirements_file_is_looked_into(violations_of, tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy==1.26.4\nsix\n")
    violations = violations_of(
        rules.pinned_environments, "Environment", {"spec": {"name": "e", "requirements_file": "requirements.txt"}}
    )
    assert violations == ["six is not pinned: write NAME==VERSION, or give a lock"]


def test_a_dockerfile_starts_from_pinned_images_only(violations_of, tmp_path):
    pinned = f"python@sha256:{'a' * 64}"
    (tmp_path / "Dockerfile").write_text(f"FROM {pinned} AS build\nFROM --platform=linux/amd64 debian:12\nFROM build\n")
    violations = violations_of(
        rules.pinned_environments, "Environment", {"spec": {"name": "e", "dockerfile": "Dockerfile", "context": "."}}
    )
    assert violations == ["FROM debian:12 is not pinned: write NAME@sha256:DIGEST"]


def test_a_gate_looks_at_what_the_run_logged(violations_of, tmp_path):
    run = record_run(tmp_path, RUN, metrics={"accuracy": 0.95, "loss": float("nan")})
    model = {"name": "net", "workspace": RUN["workspace"], "run_id": run, "path": "outputs/model"}

    def gate(**settings):
        return violations_of(rules.gate_metric, "Model", model, **settings)

    assert gate() == []
    assert gate(metric="accuracy", minimum=0.95) == []
    assert gate(metric="accuracy", minimum=0.97) == ["accuracy is 0.95, under the gate of 0.97"]
    assert gate(metric="accuracy", maximum=0.9) == ["accuracy is 0.95, over the gate of 0.9"]
    assert "logged no f1" in gate(metric="f1")[0]
    assert "under the gate" in gate(metric="loss", minimum=0)[0], "a metric that is no number passes no gate"
    model["run_id"] = UNKNOWN
    assert gate(metric="accuracy", minimum=0.97) == []
    model["run_id"] = None
    assert "is of no run" in gate(metric="accuracy")[0]


@pytest.mark.parametrize(
    ("inputs", "violations"),
    [
        ({"host": "0.0.0.0"}, 2),
        ({"host": "::"}, 2),
        ({"host": "10.0.0.4", "key_rotation": "1"}, 1),
        ({"host": "10.0.0.4", "key_rotation": "1", "tls_certificate": "c.pem"}, 0),
        ({"host": "127.0.0.1"}, 0),
        ({"host": UNKNOWN}, 0),
        ({}, 0),
    ],
)
def test_service_key(violations_of, inputs, violations):
    assert len(violations_of(rules.service_key, "WebService", inputs, tls=True)) == violations


def spend(budget, root, urn, inputs, **settings):
    return [*budget(urn, inputs, BudgetSettings.model_validate(settings), root)]


def test_the_budget_is_for_all_training_of_an_update(tmp_path):
    record_run(tmp_path, {**RUN, "arguments": {}}, duration=3600.0)
    budget = Budget({})
    assert spend(budget, tmp_path, "a", RUN, maximum=2.5) == []
    assert spend(budget, tmp_path, "a", RUN, maximum=2.5) == [], "asked twice, it counts once"
    [violation] = spend(budget, tmp_path, "b", {**RUN, "trigger": "b"}, maximum=2.5)
    assert violation == "training it would cost about 3.60 USD with the 1 before it, over the budget of 2.5 an update"


def test_finished_and_adopted_runs_cost_nothing(tmp_path):
    record_run(tmp_path, RUN, duration=3600.0)
    assert spend(Budget({}), tmp_path, "a", RUN, maximum=0) == []
    assert spend(Budget({}), tmp_path, "a", {"wanted": None, "name": "fit"}, maximum=0) == []


def test_an_unmeasured_run_counts_its_timeout_or_is_refused(tmp_path):
    assert "no run of its name was measured" in spend(Budget({}), tmp_path, "a", RUN, maximum=100)[0]
    assert spend(Budget({}), tmp_path, "a", RUN, maximum=100, unmeasured="allow") == []
    assert "1.80 USD" in spend(Budget({}), tmp_path, "a", {**RUN, "timeout": 3600}, maximum=1)[0]


def test_the_budget_takes_the_stacks_own_prices_and_node_hours(tmp_path):
    config = {"trainstack:prices": '{"STANDARD_NC6": 10}', "trainstack:currency": "EUR"}
    limited = {**RUN, "timeout": 3600}
    assert "20.00 EUR" in spend(Budget(config), tmp_path, "a", limited, maximum=1)[0]
    assert "2.0 node hours" in spend(Budget({}), tmp_path, "a", limited, hours=1)[0]
    with pytest.raises(InvalidInputError):
        spend(Budget({"trainstack:prices": "[]"}), tmp_path, "a", limited, maximum=1)


def test_a_sweep_counts_with_all_its_trials(tmp_path):
    sweep = {**RUN, "space": {}, "metric": "m", "goal": "maximize", "max_trials": 5, "timeout": 3600}
    assert "9.00 USD" in spend(Budget({}), tmp_path, "a", sweep, maximum=5)[0]
    assert spend(Budget({}), tmp_path, "a", sweep, maximum=9) == []
