"""Other users of the machine, web pages and clients try to get at the owner's files by the embedded MLflow server."""

import sqlite3
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.attack.neighbour import listens_on_loopback_alone
from tests.attack.stranger import run_as_stranger

from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.settings import read_settings
from trainstack.core.tracking.token import read_token
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrackingError
from trainstack.mlflow.rest_client import TrackingServer

PATHS = (
    "/",
    "/api/2.0/mlflow/experiments/search?max_results=5",
    "/ajax-api/2.0/mlflow/experiments/search?max_results=5",
    "/get-artifact?run_uuid=x&path=x",
    "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=x&path=x",
    "/api/2.0/mlflow-artifacts/artifacts",
    "/ajax-api/3.0/mlflow/assistant/config",
    "/graphql",
    "//api/2.0/mlflow/experiments/search?max_results=5",
    "/health/../api/2.0/mlflow/experiments/search?max_results=5",
    "/api/2.0/mlflow/experiments/search?max_results=5&token=guessed",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = Workspace.create(tmp_path_factory.mktemp("ws") / "ws", "ws")
    tracking_server.ensure(made)
    yield made
    tracking_server.stop(made)


@pytest.fixture(scope="module")
def server(workspace) -> TrackingServer:
    return tracking_server.connect(workspace)


@pytest.fixture(scope="module")
def artifacts(workspace) -> Path:
    return workspace.history / "artifacts"


@pytest.fixture
def page(server):
    """A client of the page, as a browser is one: it has no token by itself."""
    with httpx.Client(base_url=server.uri, headers={"accept": "text/html"}, trust_env=False) as client:
        yield client


@pytest.fixture
def secret(tmp_path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    (folder / "id_rsa").write_text("the owner's key")
    return folder


def run_with_artifacts(server, name) -> str:
    experiment = server.experiment(name)
    return server.create_run(experiment, "run", 0.0, {})


def test_a_neighbour_on_the_network_does_not_reach_it(server):
    assert listens_on_loopback_alone(int(server.uri.rpartition(":")[2]))


@pytest.mark.parametrize("path", PATHS)
def test_a_request_without_the_token_gets_nothing(path, server):
    with httpx.Client(trust_env=False) as client:
        for method in ("GET", "POST", "PUT", "DELETE"):
            for headers in ({}, {"authorization": "Bearer guessed"}, {"authorization": "Basic !"}, {"cookie": "x"}):
                assert client.request(method, f"{server.uri}{path}", headers=headers).status_code == 401


def test_another_user_of_the_machine_gets_nothing(workspace, server):
    run = run_as_stranger()
    code = f"""
import urllib.request, urllib.error
for path in {PATHS!r}:
    try:
        urllib.request.urlopen({server.uri!r} + path)
        print("open:", path)
    except urllib.error.HTTPError as error:
        print(error.code)
try:
    print(open({str(workspace.history / "token")!r}).read())
except PermissionError:
    print("denied")
"""
    done = run(code)
    assert set(done.stdout.split()) == {"401", "denied"}, done


def test_the_token_is_its_owners_alone(workspace):
    assert (workspace.history / "token").stat().st_mode & 0o777 == 0o600
    token = read_token(workspace)
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            try:
                content = (process / file).read_bytes()
            except OSError:
                continue
            assert token.encode() not in content, process


@pytest.mark.parametrize(
    "location", ["file://{home}", "{home}", "file:///etc", "s3://bucket/folder", "http://127.0.0.1:1/x", "../../x"]
)
def test_no_experiment_keeps_its_artifacts_outside_of_the_servers_folder(location, server, secret):
    with pytest.raises(TrackingError, match=r"outside of this server's artifacts|artifact_location"):
        server.post("experiments/create", name=location, artifact_location=location.format(home=secret))


def test_a_location_in_the_database_from_before_is_not_served(server, workspace, secret, page):
    run = run_with_artifacts(server, "planted")
    with sqlite3.connect(workspace.history / "mlflow.db") as database:
        database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (secret.as_uri(), run))
    page.headers["authorization"] = f"Bearer {read_token(workspace)}"
    assert page.get("/get-artifact", params={"run_uuid": run, "path": "id_rsa"}).status_code == 400
    answer = page.post(
        "/ajax-api/2.0/mlflow/upload-artifact", params={"run_uuid": run, "path": "planted"}, content=b"x"
    )
    assert answer.status_code == 400
    assert [file.name for file in secret.iterdir()] == ["id_rsa"]


def test_no_model_version_has_a_source_outside_of_the_servers_folder(server, secret):
    run = run_with_artifacts(server, "models")
    server.post("registered-models/create", name="stolen")
    for source in (secret.as_uri(), str(secret), "mlflow-artifacts:/../../home", "file:///etc"):
        with pytest.raises(TrackingError, match="Invalid model version source"):
            server.post("model-versions/create", name="stolen", source=source, run_id=run)


def test_no_link_leads_out_of_the_artifacts(server, workspace, artifacts, secret, page):
    run = run_with_artifacts(server, "links")
    uri = server.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    folder = artifacts / uri.removeprefix("mlflow-artifacts:/")
    folder.mkdir(parents=True)
    (folder / "home").symlink_to(secret)
    (folder / "key").symlink_to(secret / "id_rsa")
    page.headers["authorization"] = f"Bearer {read_token(workspace)}"
    below = f"/api/2.0/mlflow-artifacts/artifacts/{folder.relative_to(artifacts)}"
    for path in ("home/id_rsa", "key"):
        answers = [
            page.get("/get-artifact", params={"run_uuid": run, "path": path}),
            page.get(f"{below}/{path}"),
            page.put(f"{below}/home/planted", content=b"x"),
            page.put(f"{below}/key", content=b"x"),
            page.delete(f"{below}/{path}"),
        ]
        assert all(400 <= answer.status_code < 500 for answer in answers), [answer.text for answer in answers]
    assert [file.read_text() for file in secret.iterdir()] == ["the owner's key"]


def test_a_web_page_cannot_ride_on_the_cookie(workspace, server, page):
    page.get(tracking_server.link(workspace))
    search = "/ajax-api/2.0/mlflow/experiments/search?max_results=5"
    assert page.get(search).status_code == 200
    host = server.uri.removeprefix("http://")
    assert page.get(search, headers={"origin": server.uri}).status_code == 200
    for origin in ("https://evil.example", "http://localhost:9", "http://127.0.0.1:9", "null"):
        assert page.get(search, headers={"origin": origin}).status_code == 401
    for site in ("cross-site", "same-site"):
        assert page.get(search, headers={"sec-fetch-site": site}).status_code == 401
    # DNS rebinding: the page's own name leads to this machine.
    token = {"authorization": f"Bearer {read_token(workspace)}"}
    for name in ("evil.example", "10.evil.example", f"{host}.evil.example"):
        assert page.get(search, headers={"host": name, **token}).status_code == 403


def test_the_link_logs_a_browser_in_without_leaving_the_token_in_its_address(workspace, server, page):
    assert "trainstack ui" in page.get("/").text
    answer = page.get(tracking_server.link(workspace))
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert 'content="0;url=/"' in answer.text
    assert "root" in page.get("/").text
    for path in ("//evil.example", "/%2f%2fevil.example"):
        assert "url=//" not in page.get(f"{server.uri}{path}", params={"token": read_token(workspace)}).text


def test_an_mlflow_client_works_with_the_variables(workspace, tmp_path):
    spec = EnvironmentSpec.from_packages("logging", ["mlflow-skinny==3.17.2"])
    python = environment.build(spec, environment.lock(spec)).python
    (tmp_path / "note.txt").write_text("kept")
    code = """
import mlflow
mlflow.set_experiment("by a notebook")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.25)
    mlflow.log_artifact("note.txt")
print(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/note.txt"), mlflow.get_run(run.info.run_id).data.metrics)
"""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    for given, code_expected in ((tracking_server.client_variables(workspace), 0), ({}, 1)):
        address = {
            "MLFLOW_TRACKING_URI": read_settings(workspace).address,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        }
        done = subprocess.run(
            [python, "-c", code], env={**variables, **address, **given}, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == code_expected, done.stderr[-2000:]
        if given:
            assert "kept {'loss': 0.25}" in done.stdout
        else:
            assert "trainstack ui --variables" in done.stderr
