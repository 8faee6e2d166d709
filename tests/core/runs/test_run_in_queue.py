"""Runs that wait for quota: through a real Kueue, with real pods."""

import contextlib
import re

import pytest
from kubernetes.client.exceptions import ApiException
from tests.core.kubernetes_runs import CLUSTER, access, needs_cluster, pods, registry
from tests.core.sample_runs import printed
from tests.waiting import until

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.targets.compute_spec import NodeSize
from trainstack.targets.kubernetes.api import kueue
from trainstack.targets.kubernetes.objects import queue_objects
from trainstack.targets.kubernetes.objects.queue_objects import QueueSpec

SECONDS = 180.0
NODE = NodeSize(cpus=1, memory_gib=0.5)
PLURALS = {
    "ResourceFlavor": "resourceflavors",
    "ClusterQueue": "clusterqueues",
    "LocalQueue": "localqueues",
    "WorkloadPriorityClass": "workloadpriorityclasses",
}


def _has_kueue() -> bool:
    with contextlib.suppress(Exception):
        access().custom.get_api_resources(kueue.GROUP, kueue.VERSION)
        webhooks = _webhooks().list_mutating_webhook_configuration(label_selector="app.kubernetes.io/name=kueue")
        return bool(webhooks.items)
    return False


def _webhooks():
    from kubernetes import client

    return client.AdmissionregistrationV1Api(access().client())


pytestmark = [
    needs_cluster,
    pytest.mark.timeout(600),
    pytest.mark.long,
    pytest.mark.skipif(not _has_kueue(), reason="no Kueue runs on the cluster"),
]


@pytest.fixture
def queue():
    """Makes a queue on the cluster, and removes it in the end."""
    made = []

    def make(title, **spec):
        for manifest in queue_objects.objects(title, "tests", QueueSpec(namespace=CLUSTER.namespace, **spec)):
            plural, namespace = PLURALS[manifest["kind"]], manifest["metadata"].get("namespace")
            place = (kueue.GROUP, kueue.VERSION, *([namespace] if namespace else []), plural)
            custom = access().custom
            create = custom.create_namespaced_custom_object if namespace else custom.create_cluster_custom_object
            with (
                contextlib.suppress(ApiException) if manifest["kind"] == "ResourceFlavor" else contextlib.nullcontext()
            ):
                create(*place, manifest)
            made.append((place, manifest["metadata"]["name"], namespace))
        return title

    yield make
    for place, name, namespace in reversed(made):
        custom = access().custom
        remove = custom.delete_namespaced_custom_object if namespace else custom.delete_cluster_custom_object
        with contextlib.suppress(Exception):
            remove(*place, name)


@pytest.fixture
def started(workspace, source, request_for):
    runs = []

    def submit(queue, arguments, priority=None, **given):
        config = CLUSTER.model_copy(update={"queue": queue, "priority_class": priority})
        name = f"{queue}-{priority}".lower()
        compute = ComputeSpec(name=name, target="kubernetes", config=config, node_size=NODE, max_nodes=4)
        request = request_for(arguments, compute=compute, **given).model_copy(update={"registry": registry()})
        runs.append(submission.submit(workspace, request, source, {}).directory)
        return runs[-1]

    yield submit
    for run in runs:
        with contextlib.suppress(Exception):
            submission.stop(run, "the test is over")
        until(lambda run=run: not run.has_supervisor(), SECONDS)


def resumed_at(run):
    """At which steps the attempts of a run began, as its log says."""
    return [int(step) for step in re.findall(r"starting at (\d+)", run.merged_log.read_text())]


def test_a_higher_priority_takes_the_place_of_a_run_which_then_resumes(queue, started):
    title = queue("trainstack-tests-priority", quota={"cpu": "1"}, priorities={"low": 1, "urgent": 100})
    low, urgent = (queue_objects.priority_class(title, name) for name in ("low", "urgent"))
    first = started(title, {"--steps": 40, "--pause": 0.5}, low)
    until(lambda: printed(first, "step 4"), SECONDS)
    second = started(title, {"--steps": 3, "--pause": 0.5}, urgent)
    until(lambda: second.read().status is Status.RUNNING or second.read().status.ended, SECONDS)
    until(lambda: "in queue" in first.read().reason, SECONDS)
    assert "insufficient unused quota for cpu" in first.read().reason
    until(lambda: second.read().status is Status.COMPLETED, SECONDS)
    # It was given one attempt for failures of its own, and has had none.
    assert first.request().max_attempts == 1
    until(lambda: first.read().status.ended, SECONDS)
    record = first.read()
    assert (record.status, record.attempt) == (Status.COMPLETED, 2)
    assert record.resumed
    began = resumed_at(first)
    assert began[0] == 0
    assert began[-1] >= 3
    assert (record.node_seconds or 0) > (record.duration or 0)


def test_what_a_run_borrows_of_its_cohort_is_taken_back(queue, started):
    borrower = queue("trainstack-tests-borrower", quota={"cpu": "0"}, cohort="trainstack-tests")
    owner = queue("trainstack-tests-owner", quota={"cpu": "1"}, cohort="trainstack-tests")
    first = started(borrower, {"--steps": 200, "--pause": 0.5})
    until(lambda: printed(first, "step 2"), SECONDS)
    second = started(owner, {"--steps": 2})
    until(lambda: second.read().status is Status.COMPLETED, SECONDS)
    assert "its place was taken" in (first.root / "events.jsonl").read_text()


def test_a_run_of_several_nodes_gets_all_of_its_pods_or_none(queue, started):
    title = queue("trainstack-tests-gang", quota={"cpu": "2"})
    first = started(title, {"--steps": 200, "--pause": 0.5})
    until(lambda: printed(first, "step 1"), SECONDS)
    gang = started(title, {"--steps": 1}, distribution={"kind": "tensorflow", "node_count": 2, "workers": 2})
    until(lambda: "insufficient unused quota" in gang.read().reason, SECONDS)
    assert not pods(gang)
