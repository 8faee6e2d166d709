"""The stand-in says of each object which type it has in pulumi-kubernetes."""

import pytest
from tests.kubectl_objects.pulumi_kubernetes import resource_type


@pytest.mark.parametrize(
    ("api_version", "kind", "token"),
    [
        ("v1", "Namespace", "kubernetes:core/v1:Namespace"),
        ("networking.k8s.io/v1", "Ingress", "kubernetes:networking.k8s.io/v1:Ingress"),
        ("serving.kserve.io/v1beta1", "InferenceService", "kubernetes:serving.kserve.io/v1beta1:InferenceService"),
    ],
)
def test_a_type_token_is_that_of_pulumi_kubernetes(api_version, kind, token):
    assert resource_type(api_version, kind) == token
