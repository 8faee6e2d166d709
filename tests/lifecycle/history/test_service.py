"""The embedded server is this workspace's own, and its database is whole, whatever was killed before."""

import pytest

from trainstack.errors import TrainstackError
from trainstack.lifecycle.history import database, service
from trainstack.lifecycle.workspace import Workspace
from trainstack.tracking.server import TrackingServer


def test_a_port_that_another_workspace_took_meanwhile_is_left_to_it(workspace, server, tmp_path):
    other = Workspace.create(tmp_path / "other", "other")
    service.moved(other, service.settings(workspace).port)
    try:
        address = service.ensure(other)
        assert address != server.uri
        assert TrackingServer(address).get("experiments/get-by-name", experiment_name="other")
        assert server.get_or_none("experiments/get-by-name", experiment_name="other") is None
    finally:
        service.stop(other)


def test_a_database_is_made_whole_or_not_at_all(tmp_path):
    made, environment = tmp_path / "mlflow.db", tmp_path / "environment"
    environment.mkdir()
    # What one that was killed left behind.
    (environment / ".mlflow.db.1").write_bytes(b"half")
    broken = ["sh", "-c", "echo half >> $(echo $3 | sed s,sqlite:///,,); echo no space left >&2; exit 1", "python"]
    with pytest.raises(TrainstackError, match=r"MLflow cannot make its database in .*: no space left"):
        database.ready(made, environment, broken, {"PATH": "/usr/bin:/bin"})
    assert not made.exists()
    whole = ["sh", "-c", "printf whole > $(echo $3 | sed s,sqlite:///,,)", "python"]
    database.ready(made, environment, whole, {"PATH": "/usr/bin:/bin"})
    assert made.read_bytes() == b"whole"
    database.ready(tmp_path / "second.db", environment, broken, {"PATH": "/usr/bin:/bin"})
    assert (tmp_path / "second.db").read_bytes() == b"whole"
