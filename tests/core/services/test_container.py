"""Web services in containers of a real engine, with a real TensorFlow model."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time

import httpx
import pytest
from tests.core.engine_images import needs_engine

from trainstack.core.environments.environment import get_curated, lock
from trainstack.core.images import image
from trainstack.core.images.image import Image
from trainstack.core.models import model
from trainstack.core.services import container as container_service
from trainstack.core.services import service
from trainstack.core.services.service import ServiceSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine import engine_api
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.docker import service as containers

pytestmark = [
    needs_engine,
    pytest.mark.tensorflow,
    pytest.mark.skipif(
        not os.environ.get("DOCKER_HOST", "").startswith("unix://"), reason="asks ports of the engine's machine"
    ),
]
DIGITS = ServiceSpec(name="digits", target="docker")


@pytest.fixture(scope="module")
def client():
    with engine_api.connected() as connected:
        yield connected


@pytest.fixture(scope="module")
def serving(client):
    spec = get_curated("serving-2.15")
    return image.ensure(spec, lock(spec), client)


@pytest.fixture
def workspace(tmp_path, client):
    workspace = Workspace.create(tmp_path / "workspace", "test")
    yield workspace
    for record in service.list_services(workspace):
        service.stop(workspace, record.name)
    wanted = {"label": f"{containers.WORKSPACE}={workspace.id}"}
    assert client.containers.list(all=True, filters=wanted) == []
    assert client.volumes.list(filters=wanted) == []
    assert client.networks.list(filters=wanted) == []


@pytest.fixture
def digits(workspace, zoo):
    return model.register(workspace, model.ModelSpec(name="zoo", framework_version="2.15.1"), zoo)


@pytest.fixture
def second(workspace, digits, tmp_path):
    copy = tmp_path / "second"
    shutil.copytree(digits.path, copy)
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / "note").write_bytes(b"second")
    return model.register(workspace, model.ModelSpec(name="zoo", framework_version="2.15.1"), copy)


def start(workspace, spec, served, found, client, told=None):
    progress = (told if told is not None else []).append
    return container_service.start(workspace, spec, served, found, client, progress)


def predict(record):
    return httpx.post(record.scoring_uri, json={"instances": [[1, 2, 3, 4]]}, trust_env=False, timeout=5)


def test_a_model_is_served_from_a_container_with_few_rights(workspace, digits, serving, client):
    record = start(workspace, DIGITS, digits, serving, client)
    assert predict(record).status_code == 200
    assert service.status(workspace, "digits").state == "healthy"
    told = []
    again = start(workspace, DIGITS, digits, serving, client, told)
    assert again == record
    assert told == [f"serving at {record.scoring_uri}"]
    container = client.containers.get(record.container)
    host = container.attrs["HostConfig"]
    assert container.attrs["NetworkSettings"]["Ports"]["8501/tcp"] == [
        {"HostIp": "127.0.0.1", "HostPort": str(record.port)}
    ]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert container.attrs["Config"]["User"] == "10001:10001"
    assert record.image == serving.reference
    assert "tensorflow" in record.runtime
    assert record.runtime_reason


@pytest.mark.long
def test_another_model_follows_with_little_downtime(workspace, digits, second, serving, client):
    record = start(workspace, DIGITS, digits, serving, client)
    ending, failed = threading.Event(), []

    def ask():
        while not ending.is_set():
            try:
                predict(record).raise_for_status()
            except httpx.HTTPError:
                failed.append(time.monotonic())
            time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        replaced = start(workspace, DIGITS, second, serving, client)
    finally:
        ending.set()
        asking.join()
    assert replaced.port == record.port
    assert service.status(workspace, "digits").drift(second.digest) == ""
    assert service.status(workspace, "digits").drift(digits.digest)
    # A busy machine takes its time; a service that stays away fails.
    assert not failed or max(failed) - min(failed) < 30


def test_a_server_that_dies_is_started_again_by_the_engine(workspace, digits, serving, client):
    record = start(workspace, DIGITS, digits, serving, client)
    container = client.containers.get(record.container)
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if predict(record).status_code == 200:
                break
        except httpx.HTTPError:
            time.sleep(0.2)
    assert service.status(workspace, "digits").state == "healthy"
    container.reload()
    assert container.attrs["RestartCount"] >= 1


def test_a_removed_container_is_drift_and_keeps_its_port(workspace, digits, serving, client):
    record = start(workspace, DIGITS, digits, serving, client)
    client.containers.get(record.container).remove(force=True)
    assert service.status(workspace, "digits").state == "down"
    again = start(workspace, DIGITS, digits, serving, client)
    assert again.scoring_uri == record.scoring_uri
    assert predict(again).status_code == 200


def test_a_model_that_does_not_load_leaves_the_old_one_serving(workspace, digits, serving, client, tmp_path):
    record = start(workspace, DIGITS, digits, serving, client)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"\xff" * 100)
    broken = model.register(workspace, model.ModelSpec(name="broken"), tmp_path / "broken")
    with pytest.raises(TrainstackError, match="service digits: its server ended before it answered; its log is"):
        start(workspace, DIGITS, broken, serving, client)
    assert predict(record).status_code == 200
    assert service.status(workspace, "digits").drift(digits.digest) == ""


def test_a_port_that_somebody_has_is_refused(workspace, digits, serving, client):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = DIGITS.model_copy(update={"port": other.getsockname()[1]})
        with pytest.raises(InvalidInputError, match=r"port \d+ is taken on the machine of the Docker engine"):
            start(workspace, taken, digits, serving, client)


KILLED = """
import sys
from trainstack.core.services import container as container_service
from trainstack.core.models import model
from trainstack.core.images.image import Image
from trainstack.core.services.service import ServiceSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine import engine_api
from pathlib import Path
workspace = Workspace.open(Path(sys.argv[1]))
with engine_api.connected() as client:
    container_service.start(workspace, ServiceSpec(name="digits", target="docker"), model.find(workspace, "zoo", 1),
                            Image.model_validate_json(sys.argv[2]), client, lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("moment", ["starting", "loading"])
def test_a_killed_container_start_is_finished_by_the_next(workspace, digits, serving, client, moment):
    words = [sys.executable, "-c", KILLED, str(workspace.root), serving.model_dump_json()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.startswith(moment):
                process.kill()
                break
    record = start(workspace, DIGITS, digits, serving, client)
    assert predict(record).status_code == 200
    assert len(containers.containers(client, workspace.id, "digits")) == 1


def test_traffic_is_split_among_versions_of_one_container(workspace, digits, second, serving, client):
    spec = DIGITS.model_copy(update={"traffic": {"1": 1, "latest": 1}, "labels": {"stable": "1"}, "mirror": "1"})
    record = start(workspace, spec, second, serving, client)
    assert record.shares == {"1": 1, "2": 1}
    assert service.status(workspace, "digits").state == "healthy"
    seen = {predict(record).headers["x-model-digest"] for _ in range(40)}
    assert seen == {digits.digest, second.digest}
    labelled = record.scoring_uri.replace("zoo:predict", "zoo/labels/stable:predict")
    answer = httpx.post(labelled, json={"instances": [[1, 2, 3, 4]]}, trust_env=False, timeout=5)
    assert answer.headers["x-model-digest"] == digits.digest
    told = []
    assert start(workspace, spec, second, serving, client, told) == record
    assert told == [f"serving at {record.scoring_uri}"]


def test_tensorflow_serving_is_started_by_its_own_command_line(workspace, digits):
    spec = ServiceSpec(name="digits", target="docker", server="tensorflow-serving")
    found = Image(reference="tensorflow/serving@sha256:" + "0" * 64, python="")
    server = container_service.describe_server(workspace, spec, digits, found, 8501)
    assert server.command == (
        "tensorflow_model_server", "--rest_api_port=8501", "--port=0", "--model_name=zoo",
        "--model_base_path=/service/models/zoo",
    )  # fmt: skip
    assert "/v1/models/zoo" in server.health[-1]
    with server.content() as packed, tarfile.open(fileobj=packed) as tar:
        names = tar.getnames()
    assert "models/zoo/1/saved_model.pb" in names
    assert not any(name.startswith("serving") for name in names)
