"""The embedded server is this workspace's own, and its database is whole, whatever was killed before."""

import signal
import threading

import pytest
from tests.waiting import until

from trainstack.core.history.daemon import TrackingDaemon
from trainstack.core.tracking import database, tracking_server
from trainstack.core.tracking.settings import ClusterServer, change_port, read_settings
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError


def test_a_port_taken_by_another_workspace_is_left_alone(workspace, server, tmp_path):
    other = Workspace.create(tmp_path / "other", "other")
    change_port(other, read_settings(workspace).port)
    try:
        address = tracking_server.ensure(other)
        assert address != server.uri
        assert tracking_server.connect(other).get("experiments/get-by-name", experiment_name="other")
        assert server.get_or_none("experiments/get-by-name", experiment_name="other") is None
    finally:
        tracking_server.stop(other)


def test_a_database_is_made_whole_or_not_at_all(tmp_path):
    made, environment = tmp_path / "mlflow.db", tmp_path / "environment"
    environment.mkdir()
    # What one that was killed left behind.
    (environment / ".mlflow.db.1").write_bytes(b"half")
    broken = ["sh", "-c", "echo half >> $(echo $3 | sed s,sqlite:///,,); echo no space left >&2; exit 1", "python"]
    with pytest.raises(TrainstackError, match=r"MLflow cannot make its database in .*: no space left"):
        database.ensure(made, environment, broken, {"PATH": "/usr/bin:/bin"})
    assert not made.exists()
    whole = ["sh", "-c", "printf whole > $(echo $3 | sed s,sqlite:///,,)", "python"]
    database.ensure(made, environment, whole, {"PATH": "/usr/bin:/bin"})
    assert made.read_bytes() == b"whole"
    database.ensure(tmp_path / "second.db", environment, broken, {"PATH": "/usr/bin:/bin"})
    assert (tmp_path / "second.db").read_bytes() == b"whole"


def test_a_file_that_is_no_database_is_named_with_the_way_out(tmp_path):
    damaged = tmp_path / "my #1?" / "mlflow.db"
    damaged.parent.mkdir()
    damaged.write_bytes(b"garbage" * 1000)
    with pytest.raises(TrainstackError, match=r"mlflow\.db is damaged .*`trainstack ui --rebuild`"):
        database.ensure(damaged, tmp_path, [], {})


def test_a_server_whose_environment_is_built_ends_at_once(tmp_path, monkeypatch):
    daemon = TrackingDaemon(Workspace.create(tmp_path / "ws", "ws"))
    stopped = []

    class Building:
        alive, problem = False, ""

        def start(self):
            # The signal comes while uv waits for an index.
            daemon.request_end(signal.SIGTERM, None)
            pytest.fail("it goes on building")

        def stop(self):
            daemon.request_end(signal.SIGTERM, None)
            stopped.append(True)

    monkeypatch.setattr(daemon, "_make_server", lambda _settings: Building())
    with pytest.raises(SystemExit):
        daemon.run()
    assert stopped


def test_a_cluster_server_has_our_port_and_is_not_reset(tmp_path):
    workspace = Workspace.create(tmp_path / "ws", "ws")
    before = read_settings(workspace)
    assert before.embedded
    place = ClusterServer("prod", "history", "ws-tracking-shop-prod")
    declared = tracking_server.declare(workspace, None, place)
    assert (declared.cluster, declared.address) == (place, before.address)
    assert read_settings(workspace) == declared
    assert not declared.embedded
    with pytest.raises(TrainstackError, match="on a server that others may use too"):
        tracking_server.reset(workspace)
    assert tracking_server.declare(workspace, None) == before


def test_a_daemon_without_its_cluster_reports_why(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    workspace = Workspace.create(tmp_path / "ws", "ws")
    tracking_server.declare(workspace, None, ClusterServer("", "history", "ws-tracking-shop-prod"))
    keeper = TrackingDaemon(workspace)
    keeping = threading.Thread(target=keeper.run)
    keeping.start()
    try:
        said = until(lambda: it if "waiting" in (it := tracking_server.daemon_status(workspace)) else None, 60)
        assert said.startswith(f"waiting for {read_settings(workspace).address}: kubernetes: ")
        assert "cannot be used" in said
        assert "set KUBECONFIG" in said
    finally:
        keeper.request_end(signal.SIGTERM, None)
        keeping.join()
