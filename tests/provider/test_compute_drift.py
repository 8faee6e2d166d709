"""What refresh makes of a compute on a cluster: nothing that nobody has changed is drift."""

import json
from typing import Any

import pytest

from trainstack.core.workspace.workspace import Workspace
from trainstack.provider.compute import ComputeProvider
from trainstack.storage.atomic import read_json, write_json

CONFIGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "context": {"context": "no-such-context"},
    "queue and deadline": {"queue": "research", "pending_deadline": 3600.0},
    "selector and tolerations": {
        "node_selector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu"}, {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}],
    },
    "store and claims": {
        "store": "shared",
        "claims": [{"name": "data", "path": "/data", "read_only": True}, {"name": "more", "path": "/more"}],
    },
    "declared": {
        "service_account": "c-shop-dev",
        "declared_as": "c-shop-dev",
        "pull_secrets": ["c-shop-dev-pull"],
        "settings": ["c-shop-dev-settings"],
        "quota": {"requests.cpu": "16", "pods": "4"},
    },
    "mpijob": {"engine": "mpijob", "namespace": "research", "create_namespace": False},
}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    monkeypatch.chdir(tmp_path)
    # No cluster answers: what a compute says of it is kept all the same.
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture(params=CONFIGS.values(), ids=list(CONFIGS))
def inputs(request, workspace):
    return {
        "workspace": "ws",
        "name": "c",
        "target": "kubernetes",
        "vm_size": "STANDARD_D1_V2",
        # Numbers come from the engine as floats.
        "min_nodes": 0.0,
        "max_nodes": 2.0,
        "idle_seconds_before_scaledown": 1800.0,
        "kubernetes": request.param,
        "docker_host": None,
        "priority": "dedicated",
    }


@pytest.fixture
def state(inputs):
    return as_engine_has(ComputeProvider().create(inputs).outs)


def as_engine_has(properties):
    return json.loads(json.dumps(properties), parse_int=float)


def test_refresh_of_an_unchanged_compute_finds_nothing(inputs, state):
    provider = ComputeProvider()
    refreshed = provider.read("c", state).outs
    assert refreshed is not None
    assert refreshed["drift"] == []
    assert as_engine_has(refreshed) == state
    assert provider.diff("c", as_engine_has(refreshed), inputs).changes is False


def test_refresh_names_what_differs_and_up_puts_it_back(inputs, state, workspace):
    provider = ComputeProvider()
    path = workspace.compute("c") / "compute.json"
    record = read_json(path)
    record["config"]["namespace"] = "elsewhere"
    write_json(path, {**record, "max_nodes": 5})
    refreshed = provider.read("c", state).outs
    assert refreshed is not None
    assert sorted(refreshed["drift"]) == ["kubernetes.namespace is elsewhere", "max_nodes is 5"]
    assert provider.diff("c", refreshed, inputs).changes is True
    provider.update("c", refreshed, inputs)
    assert provider.read("c", state).outs == refreshed | {"drift": []}


def test_another_target_is_the_only_drift_that_is_said(inputs, state, workspace):
    path = workspace.compute("c") / "compute.json"
    write_json(path, {**read_json(path), "target": "local", "config": {}})
    refreshed = ComputeProvider().read("c", state).outs
    assert refreshed is not None
    assert refreshed["drift"] == ["target is local"]
