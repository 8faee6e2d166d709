"""What a compute declares on a cluster, under Pulumi's mocks."""

import base64
import json

import pulumi
import pytest

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.objects import namespace


@pytest.fixture
def declared(cluster_recorder):
    def declare(*names, registry="registry.example.com", **asked):
        import trainstack as ts

        @pulumi.runtime.test
        def run():
            workspace = ts.Workspace("ws", ts.WorkspaceArgs(registry=registry))
            made = [
                ts.Compute(
                    name,
                    ts.ComputeArgs(
                        workspace=workspace,
                        target="kubernetes",
                        vm_size="STANDARD_D1_V2",
                        kubernetes=ts.KubernetesArgs(**asked),
                    ),
                )
                for name in names or ("k",)
            ]
            return pulumi.Output.all(*(it.node for it in made))

        run()
        return cluster_recorder.resources

    return declare


def of(found, kind):
    return {name: inputs for (token, name), inputs in found.items() if token.endswith(f":{kind}")}


def test_a_missing_namespace_is_declared_with_its_owner(declared):
    found = declared(namespace="training")
    [made] = of(found, "Namespace").values()
    assert made["metadata"]["name"] == "training"
    assert made["metadata"]["annotations"] == {"trainstack.owner": "shop/prod/k"}
    [held] = of(found, "NamespaceHold").values()
    assert held["namespace"] == "training"


@pytest.mark.parametrize("owner", ["", "shop/dev/k", "shop/prod/other"])
def test_a_namespace_of_somebody_else_is_left_alone(declared, monkeypatch, owner):
    monkeypatch.setattr(namespace, "look", lambda *_: namespace.ExistingNamespace(owner))
    assert not of(declared(), "Namespace")


def test_its_own_namespace_stays_declared(declared, monkeypatch):
    monkeypatch.setattr(namespace, "look", lambda *_: namespace.ExistingNamespace("shop/prod/k"))
    assert of(declared(), "Namespace")


def test_two_computes_in_one_namespace_declare_it_once(declared):
    found = declared("one", "two")
    assert list(of(found, "Namespace")) == ["one"]
    assert set(of(found, "ServiceAccount")) == {"one", "two"}


def test_only_a_cluster_with_objects_to_create_must_answer(declared, monkeypatch):
    def off(*_):
        raise TrainstackError("kubernetes: looking for namespace trainstack: https://c does not answer")

    monkeypatch.setattr(namespace, "look", off)
    with pytest.raises(pulumi.RunError, match=r"^compute k: kubernetes: .* https://c does not answer"):
        declared()
    assert of(declared(create_namespace=False), "ServiceAccount")


def test_runs_get_an_account_of_their_own_unless_one_is_named(declared):
    found = declared()
    [account] = of(found, "ServiceAccount").values()
    assert account["metadata"]["name"] == "k-shop-prod"
    assert account["automountServiceAccountToken"] is False
    [compute] = of(found, "Compute").values()
    assert compute["kubernetes"]["service_account"] == "k-shop-prod"
    found.clear()
    found = declared(service_account="trainer")
    assert not of(found, "ServiceAccount")
    assert of(found, "Compute")["k"]["kubernetes"]["service_account"] == "trainer"


def test_the_registrys_login_is_a_secret_that_pods_pull_with(declared):
    import trainstack as ts

    found = declared(registry=ts.Registry(address="r.example.com/team", username="u", password="hush"))
    [secret] = of(found, "Secret").values()
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    data = secret["data"]
    # Under mocks a secret is wrapped where the engine would encrypt it.
    text = json.dumps(data)
    assert "hush" not in text
    encoded = data.get("value", data)[".dockerconfigjson"]
    encoded = encoded["value"] if isinstance(encoded, dict) else encoded
    login = {"username": "u", "password": "hush"}
    assert json.loads(base64.b64decode(encoded)) == {"auths": {"r.example.com": login}}
    assert of(found, "Compute")["k"]["kubernetes"]["pull_secrets"] == ["k-shop-prod-pull"]
    assert not of(declared(registry="r.example.com"), "NoSuch")


def test_quota_settings_and_claims_are_declared_for_runs(declared):
    import trainstack as ts

    found = declared(
        quota={"requests.cpu": 16},
        settings={"PROXY": pulumi.Output.from_input("http://proxy")},
        secret_settings={"TOKEN": "hush"},
        claims=[ts.KubernetesClaim(path="/data", size_gib=2), ts.KubernetesClaim(path="/shared", name="there")],
    )
    assert of(found, "ResourceQuota")["k"]["spec"] == {"hard": {"requests.cpu": "16"}}
    assert of(found, "ConfigMap")["k-settings"]["data"] == {"PROXY": "http://proxy"}
    assert "hush" not in json.dumps(of(found, "Secret"))
    assert of(found, "PersistentVolumeClaim")["k-data"]["metadata"]["name"] == "k-shop-prod-data"
    described = of(found, "Compute")["k"]["kubernetes"]
    assert described["settings"] == described["secret_settings"] == ["k-shop-prod-settings"]
    assert [it["name"] for it in described["claims"]] == ["k-shop-prod-data", "there"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"namespace": pulumi.Output.from_input("x")}, "kubernetes.namespace is an output"),
        ({"node_selector": {"pool": pulumi.Output.from_input("x")}}, "kubernetes.node_selector.pool is an output"),
        ({"tolerations": [{"key": pulumi.Output.from_input("x")}]}, r"kubernetes.tolerations\[0\].key is an output"),
        ({"namespace": "My Team"}, "namespace 'My Team' is no name"),
        ({"settings": {"a b": "c"}}, "'a b' is no name of an environment variable"),
        ({"settings": {"A": "b"}, "engine": "mpijob"}, "settings do not reach runs of engine 'mpijob'"),
        ({"pending_deadline": -1}, "kubernetes: pending_deadline: "),
    ],
)
def test_what_cannot_be_is_one_line(declared, asked, said):
    with pytest.raises(pulumi.RunError, match=f"compute k: .*{said}") as caught:
        declared(**asked)
    assert "\n" not in str(caught.value)


def test_a_driver_gets_an_account_with_a_role_in_the_namespace_and_runs_get_none(declared):
    import trainstack as ts

    role = "arn:aws:iam::123456789012:role/trainer"
    found = declared(driver=ts.KubernetesDriver(annotations={"eks.amazonaws.com/role-arn": role}))
    accounts = of(found, "ServiceAccount")
    assert accounts["k-driver"]["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}
    [binding] = of(found, "RoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == ["k-shop-prod-driver"]
    [rules] = [made["rules"] for made in of(found, "Role").values()]
    assert not {"secrets", "*"} & {resource for rule in rules for resource in rule["resources"]}
    described = of(found, "Compute")["k"]["kubernetes"]
    assert described["driver"] == {"service_account": "k-shop-prod-driver"}
    assert described["service_account"] == "k-shop-prod"


def test_a_drivers_named_account_is_bound_and_not_made(declared):
    import trainstack as ts

    found = declared(driver=ts.KubernetesDriver(service_account="trainer", secret="s3"))
    assert list(of(found, "ServiceAccount")) == ["k"]
    [binding] = of(found, "RoleBinding").values()
    assert binding["subjects"][0]["name"] == "trainer"
    assert of(found, "Compute")["k"]["kubernetes"]["driver"] == {"service_account": "trainer", "secret": "s3"}
    with pytest.raises(pulumi.RunError, match=r"annotations are for the service account that is declared"):
        declared(driver=ts.KubernetesDriver(service_account="trainer", annotations={"a": "b"}))


def test_a_pool_is_declared_and_runs_go_there(declared):
    import trainstack as ts

    found = declared(pool=ts.KarpenterPool(node_class="AKSNodeClass/default", zones=["eastus-1"]))
    (pool,) = [inputs for (kind, _), inputs in found.items() if kind.endswith(":NodePool")]
    values = {each["key"]: each["values"] for each in pool["spec"]["template"]["spec"]["requirements"]}
    assert values["node.kubernetes.io/instance-type"] == ["Standard_D1_v2"]
    assert values["topology.kubernetes.io/zone"] == ["eastus-1"]
    assert pool["spec"]["limits"] == {"cpu": "1"}
    assert pool["spec"]["disruption"]["consolidateAfter"] == "1800s"
    config = next(inputs["kubernetes"] for (_, name), inputs in found.items() if name == "k" and "kubernetes" in inputs)
    assert config["pool"] == config["node_selector"]["trainstack.pool"] == "k-shop-prod"
    assert config["tolerations"] == [{"key": "trainstack.pool", "operator": "Equal", "value": "k-shop-prod"}]


def test_a_store_is_declared_or_named_and_runs_know_its_name(declared):
    import trainstack as ts

    found = declared(store=ts.KubernetesVolume(size_gib=2))
    [claim] = of(found, "PersistentVolumeClaim").values()
    assert claim["metadata"]["name"] == "k-shop-prod-store"
    assert of(found, "Compute")["k"]["kubernetes"]["store"] == "k-shop-prod-store"
    found.clear()
    found = declared(store=ts.KubernetesVolume(name="there"))
    assert not of(found, "PersistentVolumeClaim")
    assert of(found, "Compute")["k"]["kubernetes"]["store"] == "there"


def test_a_store_that_cannot_be_is_one_line(declared):
    import trainstack as ts

    for store, said in (
        (ts.KubernetesVolume(), "store: give either the name"),
        (ts.KubernetesVolume(size_gib=1, access_mode="ReadOnlyMany"), "store has access mode ReadOnlyMany, and 1 node"),
        (ts.KubernetesVolume(size_gib=1), "claim /store and store are both k-shop-prod-store"),
    ):
        with pytest.raises(pulumi.RunError, match=said):
            declared(store=store, claims=[ts.KubernetesClaim(path="/store", size_gib=1)] if "both" in said else [])


def test_a_claim_is_named_or_sized(declared):
    import trainstack as ts

    for claim in (ts.KubernetesClaim(path="/data"), ts.KubernetesClaim(path="/data", name="a", size_gib=1)):
        with pytest.raises(pulumi.RunError, match="claim /data: give either the name"):
            declared(claims=[claim])
