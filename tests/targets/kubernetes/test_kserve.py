"""Whether a cluster serves InferenceServices, and whether it takes ours."""

from typing import Any

import pytest
from tests.core.kubernetes_runs import CLUSTER, access, needs_cluster, taken
from tests.targets.kubernetes.test_serving import rendered
from tests.waiting import until

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.checks.prerequisites import check_inference_service

pytestmark = needs_cluster
NAME = "inferenceservices.serving.kserve.io"
# As much of KServe's definition as makes the kind be served: it checks the outline, not the predictor's fields.
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": NAME},
    "spec": {
        "group": "serving.kserve.io",
        "scope": "Namespaced",
        "names": {"plural": "inferenceservices", "singular": "inferenceservice", "kind": "InferenceService"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["predictor"],
                                "properties": {
                                    "predictor": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


def served():
    try:
        check_inference_service(access(), 10)
    except InvalidInputError:
        return False
    return True


def test_kserve_is_refused_in_one_line_where_it_is_not_served():
    from kubernetes import client

    definitions: Any = client.ApiextensionsV1Api(access().client())
    if served():
        pytest.skip("the cluster has KServe")
    with pytest.raises(InvalidInputError, match=r"serves no InferenceService \(serving.kserve.io/v1beta1\)") as caught:
        check_inference_service(access(), 10)
    assert "\n" not in str(caught.value)
    definitions.create_custom_resource_definition(DEFINITION)
    try:
        until(served, 30)
        [thing] = rendered(engine="kserve", max_replicas=3).values()
        taken(thing, CLUSTER.namespace)
    finally:
        definitions.delete_custom_resource_definition(NAME)
    until(lambda: not served(), 30)
