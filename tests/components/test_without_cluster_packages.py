"""Without the extra `kubernetes` a program that asks for a cluster says what to install; any other one works."""

import importlib.util
import sys

import pulumi
import pytest

import trainstack as ts


@pytest.fixture(params=[{"kubernetes", "pulumi_kubernetes"}, {"pulumi_kubernetes"}])
def without_packages(request, monkeypatch):
    find = importlib.util.find_spec
    missing = request.param
    monkeypatch.setattr(
        "trainstack.targets.kubernetes.installed.find_spec", lambda name: None if name in missing else find(name)
    )
    for name in [name for name in sys.modules if name.partition(".")[0] in missing]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("without_packages", "recorder")
def test_a_cluster_says_what_to_install():
    @pulumi.runtime.test
    def program():
        workspace = ts.Workspace("ws", ts.WorkspaceArgs(registry="registry.example/team"))
        ts.Compute("k", ts.ComputeArgs(workspace=workspace, target="kubernetes"))

    with pytest.raises(pulumi.RunError, match=r"pip install 'trainstack\[kubernetes\]'"):
        program()


@pytest.mark.usefixtures("without_packages", "recorder")
def test_a_queue_says_what_to_install():
    @pulumi.runtime.test
    def program():
        ts.Queue("vision", ts.QueueArgs(quota={"cpu": 8}))

    with pytest.raises(pulumi.RunError, match=r"pip install 'trainstack\[kubernetes\]'"):
        program()
