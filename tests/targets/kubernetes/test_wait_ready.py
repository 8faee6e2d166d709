"""From which moment the pods of a run count as running."""

import pytest
from tests.waiting import until

from trainstack.targets.base import Capacity, NodeGroupSpec, Runtime
from trainstack.targets.kubernetes import wait_ready
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.checks.pending_reason import PendingReason
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.pods import LAUNCHER_INDEX

RUNNING = {"running": {}}
PULLING = {"waiting": {"reason": "ContainerCreating"}}


def pod(state, names=("node", "sidecar")):
    return {"metadata": {}, "status": {"containerStatuses": [{"name": name, "state": state} for name in names]}}


class ScriptedPods:
    """Pods of which news come one after the other: a step a call of `news`."""

    def __init__(self, *steps):
        self._steps = iter(steps)
        self._pods = next(self._steps)

    def news(self, _seconds):
        self._pods = next(self._steps)

    def get(self, index):
        return self._pods.get(index)

    def gone(self, _index):
        return False


@pytest.fixture
def told():
    return []


def group(told, count):
    return NodeGroupSpec(
        attempt=1,
        node_count=count,
        runtime=Runtime("/venv/bin/python", "r/image@sha256:1"),
        holds=Capacity(cpus=1, memory_gib=1),
        waiting=told.append,
        all_running=lambda: told.append("RUNNING"),
    )


def wait(told, pods, count, *, launcher=None):
    nodes = group(told, count)
    sending = wait_ready.sending(pods, nodes, launcher)
    handed = [lambda: told.append("handed")] * count
    config = KubernetesConfig()
    # Of the job nobody asks so soon.
    job_pending = PendingReason(KubernetesApi(config), lambda: None, lambda _: "")
    wait_ready.wait(pods, job_pending, nodes, config, handed, lambda: sending("code and data"))
    return [line for line in told if line != "handed"]


def test_all_pods_run_before_a_run_counts_as_running(told):
    pods = ScriptedPods({}, {0: pod(RUNNING)}, {0: pod(RUNNING), 1: pod(PULLING)}, {0: pod(RUNNING), 1: pod(RUNNING)})
    lines = wait(told, pods, 2)
    before = lines[: lines.index("RUNNING")]
    assert before == [
        "node 0: its pod is being made",
        "node 1: its pod is being made",
        "node 1: its image is pulled",
    ]
    assert set(lines[len(before) :]) == {"RUNNING", "code and data are being sent"}
    until(lambda: told.count("handed") == 2)


@pytest.mark.parametrize(
    ("launcher", "line"),
    [
        (None, "launcher: its pod is being made"),
        (pod(PULLING, ["launcher"]), "launcher: its image is pulled"),
    ],
)
def test_the_launcher_of_an_mpijob_is_waited_for_too(told, launcher, line):
    workers = {0: pod(RUNNING), LAUNCHER_INDEX: launcher}
    lines = wait(told, ScriptedPods(workers), 1, launcher="launcher")
    assert set(lines) == {line}


@pytest.mark.parametrize("state", [RUNNING, {"terminated": {"exitCode": 1}}])
def test_a_launcher_that_runs_or_has_ended_holds_up_nothing(told, state):
    pods = ScriptedPods({0: pod(RUNNING), LAUNCHER_INDEX: pod(state, ["launcher"])})
    assert set(wait(told, pods, 1, launcher="launcher")) == {"RUNNING", "code and data are being sent"}
