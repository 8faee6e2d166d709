"""Objects that kubectl applies to a real cluster, where others change them too."""

import pytest
from tests.core.kubernetes_runs import CLUSTER, access, needs_cluster, needs_kubectl
from tests.kubectl_objects.pulumi_kubernetes.kubectl import KubectlProvider

pytestmark = [needs_cluster, needs_kubectl]
NAME = "trainstack-tests-scaled"


def deployment(replicas, image="example.invalid/one"):
    marks = {"app": NAME}
    pod = {"containers": [{"name": "c", "image": image}], "nodeSelector": {"trainstack-tests": "nowhere"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": CLUSTER.namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": marks},
            "template": {"metadata": {"labels": marks}, "spec": pod},
        },
    }


def inputs(thing, kept=()):
    return {"name": NAME, "object": thing, "context": "", "kept": list(kept)}


@pytest.fixture
def apps():
    from kubernetes import client

    yield client.AppsV1Api(access().client())
    KubectlProvider().delete(NAME, inputs(deployment(1)))


def scale(apps, replicas):
    apps.patch_namespaced_deployment_scale(NAME, CLUSTER.namespace, {"spec": {"replicas": replicas}})


def there(apps):
    spec = apps.read_namespaced_deployment(NAME, CLUSTER.namespace).spec
    return spec.replicas, spec.template.spec.containers[0].image


def test_the_number_of_pods_stays_as_an_autoscaler_has_made_it(apps):
    provider = KubectlProvider()
    fixed = inputs(deployment(3))
    provider.create(fixed)
    # From a fixed number to an autoscaler's: it goes on from what there is.
    scaled = inputs(deployment(1), ["spec.replicas"])
    assert not provider.diff(NAME, fixed, scaled).changes
    changed = inputs(deployment(1, "example.invalid/two"), ["spec.replicas"])
    assert provider.diff(NAME, fixed, changed).changes
    provider.update(NAME, fixed, changed)
    assert there(apps) == (3, "example.invalid/two")
    scale(apps, 5)
    provider.update(NAME, changed, inputs(deployment(1, "example.invalid/three"), ["spec.replicas"]))
    assert there(apps) == (5, "example.invalid/three")
    # And back to a fixed one.
    provider.update(NAME, changed, inputs(deployment(2, "example.invalid/three")))
    assert there(apps) == (2, "example.invalid/three")
