"""What a compute declares on a cluster, and the namespace that holds it."""

import base64
import json

import pytest
from tests.core.kubernetes_runs import CLUSTER, access, needs_cluster, taken
from tests.waiting import until

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import Claim, KubernetesConfig
from trainstack.targets.kubernetes.objects import compute_resources, namespace
from trainstack.targets.kubernetes.objects.compute_resources import PvcSpec, ResourceRequest

LOGIN = base64.b64encode(json.dumps({"auths": {"r": {"username": "u", "password": "p"}}}).encode()).decode()
ALL = ResourceRequest(
    account="k-shop-prod",
    quota={"requests.cpu": "16", "pods": "20"},
    pull_login=LOGIN,
    settings={"PROXY": "http://proxy:3128"},
    secret_settings={"TOKEN": "aHVzaA=="},
    claims=[PvcSpec(name="k-shop-prod-data", size_gib=1.5, storage_class=None, access_mode="ReadWriteMany")],
)


def rendered(wanted=ALL):
    found = compute_resources.objects("k-shop-prod", CLUSTER.namespace, "prod", wanted)
    return {(it["kind"], it["metadata"]["name"]): it for it in found}


def test_nothing_is_declared_that_is_not_wanted():
    assert rendered(ResourceRequest()) == {}
    assert list(rendered(ResourceRequest(account="k-shop-prod"))) == [("ServiceAccount", "k-shop-prod")]


def test_the_account_has_no_token_and_the_registrys_login():
    account = rendered()["ServiceAccount", "k-shop-prod"]
    assert account["automountServiceAccountToken"] is False
    assert account["imagePullSecrets"] == [{"name": "k-shop-prod-pull"}]
    assert "imagePullSecrets" not in rendered(ResourceRequest(account="a"))["ServiceAccount", "a"]


def test_a_claim_asks_for_its_size_and_is_not_waited_for():
    claim = rendered()["PersistentVolumeClaim", "k-shop-prod-data"]
    assert claim["spec"] == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1536Mi"}}}
    assert claim["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


@pytest.mark.parametrize("path", ["data", "/", "/tmp/x", "/data/../etc", "/trainstack/inputs"])
def test_a_claim_is_no_folder_of_the_image(path):
    with pytest.raises(InvalidInputError, match=r"claim path .* is not usable"):
        Claim(name="c", path=path)


@needs_cluster
def test_a_real_api_server_takes_every_object_as_it_stands():
    for thing in rendered().values():
        taken(thing)
    taken(namespace.rendered("trainstack-tests-new", "shop/prod/k"))


@needs_cluster
def test_a_namespace_names_its_owner_and_stays_while_used(monkeypatch):
    monkeypatch.setattr(namespace, "_ENDING_SECONDS", 1.0)
    made = KubernetesApi(KubernetesConfig(namespace="trainstack-tests-hold"))
    assert namespace.look(made) is None
    assert namespace.look(access()) == namespace.ExistingNamespace()
    core = made.core
    core.create_namespace(namespace.rendered(made.namespace, "shop/prod/k"))
    try:
        assert namespace.look(made) == namespace.ExistingNamespace("shop/prod/k")
        # What the cluster itself puts there does not count.
        until(lambda: core.list_namespaced_service_account(made.namespace).items, 30)
        namespace.check_empty(made)
        core.create_namespaced_config_map(made.namespace, {"metadata": {"name": "of-somebody"}})
        with pytest.raises(TrainstackError, match=r"hold stays, it still has ConfigMap of-somebody: take") as caught:
            namespace.check_empty(made)
        assert "\n" not in str(caught.value)
    finally:
        core.delete_namespace(made.namespace)
