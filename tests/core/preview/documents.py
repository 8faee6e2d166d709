"""Previews and states in the form that Pulumi's command line prints them."""

import json
from typing import Any

RUN = {
    "name": "fit",
    "workspace": ".trainstack/w",
    "source_directory": "scripts",
    "script": "train.py",
    "files": {"train.py": "a" * 64},
    "arguments": {"--rate": "0.1"},
    "datasets": {"numbers": {"name": "numbers", "version": 1, "digest": "d" * 64, "mode": "mount"}},
    "environment": {"digest": "e" * 64, "python": "3.11", "packages": {"numpy": "1.26.4"}, "variables": {}},
    "environment_variables": {},
    "distribution": {"kind": "horovod", "node_count": 2, "processes_per_node": 1},
    "compute": {"name": "c", "target": "docker", "vm_size": "STANDARD_NC6", "max_nodes": 2, "priority": "dedicated"},
    "trigger": "",
}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::shop::trainstack:index:{kind}$pulumi-python:dynamic/trainstack:{kind}::{name}"


def state(kind: str, name: str, inputs: dict[str, Any], outputs: dict[str, Any] | None = None, **sources: str) -> dict:
    return {
        "urn": urn(kind, name),
        "type": f"pulumi-python:dynamic/trainstack:{kind}",
        "inputs": {"__provider": "x", **inputs},
        "outputs": outputs or {},
        "propertyDependencies": {key: [value] for key, value in sources.items()},
        "dependencies": list(sources.values()),
    }


def step(operation: str, old: dict | None, new: dict | None) -> dict:
    found = new or old or {}
    return {
        "op": operation,
        "urn": found["urn"],
        **({"oldState": old} if old else {}),
        **({"newState": new} if new else {}),
    }


def preview(*steps: dict, config: dict[str, str] | None = None, same: int = 3, **more: Any) -> str:
    return json.dumps({"config": config or {}, "steps": list(steps), "changeSummary": {"same": same}, **more})


def retraining(**changes: Any) -> dict:
    """A run that is replaced; `changes` are its new inputs."""
    done = {**RUN, "run_id": "r1", "duration": 1800.0, "metrics": {"accuracy": 0.9}}
    return step("replace", state("TrainingRun", "fit", RUN, done), state("TrainingRun", "fit", {**RUN, **changes}))


def exported(*resources: dict) -> str:
    return json.dumps({"version": 3, "deployment": {"resources": list(resources)}})
