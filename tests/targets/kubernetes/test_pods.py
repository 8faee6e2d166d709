"""What is made of the cluster's words about a pod."""

import pytest

from trainstack.targets.kubernetes.pods import pending_reason, running, termination_reason


def pod(*, node=None, sidecar=None, conditions=(), deleted=False, **status):
    containers = [
        {"name": name, "state": state} for name, state in (("node", node), ("sidecar", sidecar)) if state is not None
    ]
    metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}
    return {"metadata": metadata, "status": {"containerStatuses": containers, "conditions": conditions, **status}}


@pytest.mark.parametrize(
    ("given", "words", "hopeless"),
    [
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: 3 Insufficient cpu."}]),
            "0/3 nodes: 3 Insufficient cpu.",
            False,
        ),
        (pod(node={"waiting": {"reason": "ContainerCreating"}}), "its image is pulled", False),
        (
            pod(node={"waiting": {"reason": "ImagePullBackOff", "message": "not\nfound"}}),
            "ImagePullBackOff: not found",
            False,
        ),
        (pod(node={"waiting": {"reason": "InvalidImageName"}}), "InvalidImageName", True),
        (
            pod(node={"terminated": {"reason": "StartError", "exitCode": 128, "message": "no such file"}}),
            "its container node ended (StartError, exit code 128, no such file)",
            True,
        ),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "Evicted: low on memory", True),
        (pod(), "it is being scheduled", False),
    ],
)
def test_a_pod_that_does_not_run_yet_says_why(given, words, hopeless):
    assert pending_reason(given) == (words, hopeless)


def test_a_pod_runs_when_node_and_sidecar_do():
    assert running(pod(node={"running": {}}, sidecar={"running": {}}))
    assert not running(pod(node={"running": {}}, sidecar={"waiting": {}}))


def test_what_the_cluster_ended_is_told_in_its_words():
    assert termination_reason(pod(node={"terminated": {"exitCode": 1}}), gone=False) == ""
    assert termination_reason(
        pod(reason="Evicted", message="The node was low on resource: memory."), gone=False
    ).startswith("Evicted")
    drained = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}]
    assert termination_reason(pod(conditions=drained), gone=True) == "EvictionByEvictionAPI: drained"
    assert (
        termination_reason(pod(deleted=True), gone=False)
        == termination_reason(pod(), gone=True)
        == "its pod was deleted"
    )
