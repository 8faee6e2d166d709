import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
from tests.server.served import free_port
from tests.waiting import until

from trainstack.core.models import model
from trainstack.core.services import service
from trainstack.core.services.process import living
from trainstack.core.services.record import write_record
from trainstack.core.services.service import ServiceSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError
from trainstack.server.codec.protobuf_messages import INFERENCE, message
from trainstack.server.http.auth import key_digest

DIGITS = ServiceSpec(name="digits")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace.create(tmp_path / "workspace", "test")
    yield workspace
    for record in service.list_services(workspace):
        service.stop(workspace, record.name)


@pytest.fixture
def zoo_model(workspace: Workspace, dense: Path) -> model.ModelRecord:
    return model.register(workspace, model.ModelSpec(name="zoo", framework_version="2.15.1"), dense)


@pytest.fixture
def second(workspace: Workspace, zoo_model: model.ModelRecord, tmp_path: Path) -> model.ModelRecord:
    copy = tmp_path / "second"
    shutil.copytree(zoo_model.path, copy)
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / "note").write_bytes(b"second")
    return model.register(workspace, model.ModelSpec(name="zoo", framework_version="2.15.1"), copy)


@pytest.fixture
def broken(workspace: Workspace, tmp_path: Path) -> model.ModelRecord:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"\xff" * 100)
    return model.register(workspace, model.ModelSpec(name="broken"), tmp_path / "broken")


def predict(record: service.ServiceRecord) -> httpx.Response:
    return httpx.post(record.scoring_uri, json={"instances": [[1, 2, 3, 4]]}, trust_env=False)


def foreign() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


@pytest.mark.parametrize(
    ("version", "environment"),
    [
        ("2.4", "trainstack-serving-2.15"),
        ("2.15.1", "trainstack-serving-2.15"),
        ("2.16.0rc1", "trainstack-serving-2.21"),
        ("2.21.0", "trainstack-serving-2.21"),
        (None, "trainstack-serving-2.21"),
    ],
)
def test_the_serving_environment_is_never_older_than_the_model(version: str | None, environment: str):
    assert service.serving_environment(version) == environment


@pytest.mark.parametrize("version", ["2.22", "3.0.1", "new", "2", "2.x"])
def test_a_version_without_serving_environment_is_refused(version: str):
    with pytest.raises(InvalidInputError, match="TensorFlow"):
        service.serving_environment(version)


def test_a_port_where_somebody_listens_is_refused_by_its_number():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InvalidInputError) as error:
            service.validate_port(ServiceSpec(name="digits", port=port))
    assert (
        str(error.value)
        == f"port {port} on 127.0.0.1 is taken by another process: end that one, or choose another port"
    )
    service.validate_port(ServiceSpec(name="digits", port=port))


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int):
    with pytest.raises(InvalidInputError, match=f"port {port} is not a port"):
        service.validate_port(ServiceSpec(name="digits", port=port))


def test_a_privileged_port_is_refused_in_one_line():
    if os.geteuid() == 0:
        pytest.skip("root may listen on every port")
    with pytest.raises(InvalidInputError, match=r"cannot listen on 127\.0\.0\.1:1: Permission denied"):
        service.validate_port(ServiceSpec(name="digits", port=1))


def test_a_model_that_is_no_saved_model_is_refused(workspace: Workspace, tmp_path: Path):
    (tmp_path / "weights.h5").write_bytes(b"")
    weights = model.register(workspace, model.ModelSpec(name="weights"), tmp_path / "weights.h5")
    with pytest.raises(InvalidInputError, match=r"no SavedModel: a service needs saved_model\.pb .* weights\.h5"):
        service.start(workspace, DIGITS, weights, Path(sys.executable))


def test_a_model_whose_files_have_changed_is_not_served(workspace: Workspace, broken: model.ModelRecord):
    (Path(broken.path) / "saved_model.pb").unlink()
    with pytest.raises(TrainstackError, match=r"not as registered \(saved_model\.pb: gone\)"):
        service.start(workspace, DIGITS, broken, Path(sys.executable))


def test_an_interpreter_that_is_gone_is_told(workspace: Workspace, broken: model.ModelRecord, tmp_path: Path):
    with pytest.raises(TrainstackError, match=r"cannot run .*/python: No such file or directory"):
        service.start(workspace, DIGITS, broken, tmp_path / "python")
    assert service.find(workspace, "digits").status == "failed"


def test_an_unknown_service_has_no_status_but_can_be_stopped(workspace: Workspace):
    service.stop(workspace, "digits")
    with pytest.raises(NotFoundError, match=r"no service 'digits' .*there is none"):
        service.status(workspace, "digits")


def test_a_process_with_a_reused_id_is_not_killed(workspace: Workspace):
    other = foreign()
    lock = workspace.service("digits") / "instances" / "dead.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(
        f'{{"pid": {other.pid}, "host": "127.0.0.1", "port": 8501, "executable": "python", "arguments": []}}'
    )
    try:
        service.stop(workspace, "digits")
        assert other.poll() is None
        assert not lock.exists()
    finally:
        other.kill()
        other.wait()


@pytest.mark.tensorflow
def test_starting_a_running_service_changes_nothing(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    said: list[str] = []
    record = service.start(workspace, DIGITS, zoo_model, serving_python, said.append)
    assert predict(record).json() == {"predictions": [[40.5, 49.0]]}
    assert record.scoring_uri == f"http://127.0.0.1:{record.port}/v1/models/zoo:predict"
    assert (record.status, record.model_version, record.model_digest) == ("running", 1, zoo_model.digest)
    assert service.status(workspace, "digits").state == "healthy"
    assert service.status(workspace, "digits").drift(zoo_model.digest) == ""
    assert said[0] == f"starting a server for zoo version 1 on port {record.port}"
    assert said[-1] == f"serving at {record.scoring_uri}"
    begun = time.monotonic()
    assert service.start(workspace, DIGITS, zoo_model, serving_python) == record
    assert time.monotonic() - begun < 1
    assert service.find(workspace, "digits") == record


@pytest.mark.tensorflow
def test_the_server_gets_no_secret_and_a_session_of_its_own(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "sesame")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    assert record.pid is not None
    environment = Path(f"/proc/{record.pid}/environ").read_bytes()
    assert b"sesame" not in environment
    assert b"PYTHONPATH" not in environment
    assert os.getsid(record.pid) == record.pid
    fields = Path(f"/proc/{record.pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()


@pytest.mark.tensorflow
def test_a_stopped_service_is_down_and_comes_back_on_its_port(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    service.stop(workspace, "digits")
    service.stop(workspace, "digits")
    with pytest.raises(httpx.TransportError):
        predict(record)
    stopped = service.status(workspace, "digits")
    assert (stopped.state, stopped.digest) == ("down", None)
    assert "is not running" in stopped.drift(zoo_model.digest)
    assert service.find(workspace, "digits").status == "stopped"
    assert record.log.read_text().endswith("stopped\n")
    again = service.start(workspace, DIGITS, zoo_model, serving_python)
    assert (again.port, again.pid != record.pid) == (record.port, True)


@pytest.mark.tensorflow
def test_a_killed_server_is_seen_and_started_again(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    assert record.pid is not None
    os.kill(record.pid, signal.SIGKILL)
    for _ in range(100):
        if not living(Path(record.folder)):
            break
        time.sleep(0.05)
    assert service.status(workspace, "digits").state == "down"
    again = service.start(workspace, DIGITS, zoo_model, serving_python)
    assert again.port == record.port
    assert predict(again).status_code == 200


@pytest.mark.tensorflow
def test_a_service_moves_to_a_new_port(workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path):
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    service.validate_port(ServiceSpec(name="digits", port=record.port), record)
    with pytest.raises(InvalidInputError, match=f"port {record.port} on 127.0.0.1 is taken"):
        service.validate_port(ServiceSpec(name="other", port=record.port))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    moved = service.start(workspace, ServiceSpec(name="digits", port=free), zoo_model, serving_python)
    assert moved.port == free
    assert predict(moved).status_code == 200
    with pytest.raises(httpx.TransportError):
        predict(record)
    assert len(living(Path(moved.folder))) == 1


@pytest.mark.tensorflow
def test_a_port_taken_meanwhile_is_replaced_by_a_free_one(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    service.stop(workspace, "digits")
    said: list[str] = []
    with socket.create_server(("127.0.0.1", record.port)):
        again = service.start(workspace, DIGITS, zoo_model, serving_python, said.append)
    assert again.port != record.port
    assert f"port {record.port} is taken by another process: choosing another" in said


@pytest.mark.tensorflow
def test_two_services_started_at_once_have_ports_of_their_own(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    specs = [ServiceSpec(name="one"), ServiceSpec(name="two")]
    with ThreadPoolExecutor() as pool:
        records = list(pool.map(lambda spec: service.start(workspace, spec, zoo_model, serving_python), specs))
    assert records[0].port != records[1].port
    assert [predict(record).status_code for record in records] == [200, 200]


@pytest.mark.tensorflow
def test_a_new_version_replaces_the_old_under_load(
    workspace: Workspace, zoo_model: model.ModelRecord, second: model.ModelRecord, serving_python: Path
):
    old = service.start(workspace, DIGITS, zoo_model, serving_python)
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not done.is_set():
                answer = client.post(old.scoring_uri, json={"instances": [[1, 2, 3, 4]]})
                answers.append((answer.status_code, answer.headers["x-model-digest"]))
                assert answer.json() == {"predictions": [[40.5, 49.0]]}
                time.sleep(0.005)

    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask)
        new = service.start(workspace, DIGITS, second, serving_python)
        time.sleep(0.5)
        done.set()
        asking.result(10)
    # The same server, with other contents: no connection had to end.
    assert (new.port, new.model_version, new.pid) == (old.port, 2, old.pid)
    assert {status for status, _ in answers} == {200}
    assert answers[0][1] == zoo_model.digest
    assert answers[-1][1] == second.digest
    assert [instance.pid for instance in living(Path(new.folder))] == [new.pid]


@pytest.mark.tensorflow
def test_a_broken_model_fails_and_the_old_one_stays(
    workspace: Workspace, zoo_model: model.ModelRecord, broken: model.ModelRecord, serving_python: Path
):
    with pytest.raises(TrainstackError) as error:
        service.start(workspace, DIGITS, broken, serving_python)
    log = workspace.service("digits") / "log.txt"
    first, *lines = str(error.value).splitlines()
    assert first == f"service digits: its server ended before it answered; its log is {log}"
    assert any("saved_model.pb is damaged" in line for line in lines)
    assert service.find(workspace, "digits").status == "failed"
    assert living(workspace.service("digits")) == []
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    with pytest.raises(TrainstackError, match=r"does not load what it is to serve: .*saved_model\.pb is damaged"):
        service.start(workspace, DIGITS, broken, serving_python)
    assert service.find(workspace, "digits") == record
    assert service.status(workspace, "digits").drift(zoo_model.digest) == ""
    assert predict(record).status_code == 200
    assert len(living(Path(record.folder))) == 1


@pytest.mark.tensorflow
def test_a_sample_input_that_the_model_refuses_fails_the_start(workspace: Workspace, dense: Path, serving_python: Path):
    spec = model.ModelSpec(name="zoo", sample_input=[["seven"]])
    with pytest.raises(TrainstackError, match="the model refuses its sample input"):
        service.start(workspace, DIGITS, model.register(workspace, spec, dense), serving_python)


@pytest.mark.tensorflow
def test_another_digest_than_the_recorded_one_is_drift(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    write_record(record.model_copy(update={"model_digest": "f" * 64, "model_version": 2}))
    status = service.status(workspace, "digits")
    assert (status.state, status.digest) == ("other", zoo_model.digest)
    assert status.drift("f" * 64) == f"service digits serves {zoo_model.digest[:12]}, not ffffffffffff of zoo version 2"


@pytest.mark.tensorflow
def test_traffic_is_split_and_versions_have_addresses(
    workspace: Workspace, zoo_model: model.ModelRecord, second: model.ModelRecord, serving_python: Path
):
    spec = ServiceSpec(name="digits", traffic={"latest": 1, "1": 3}, labels={"stable": "1"}, mirror="latest")
    record = service.start(workspace, spec, second, serving_python)
    assert record.shares == {"1": 3, "2": 1}
    assert (record.runtime, "LiteRT answers serving_default" in record.runtime_reason) == ("litert", True)
    found = [predict(record).headers["x-model-version"] for _ in range(200)]
    assert 20 < found.count("2") < 80
    for path, digest in (("versions/2", second.digest), ("labels/stable", zoo_model.digest)):
        address = record.scoring_uri.replace(":predict", f"/{path}:predict")
        answer = httpx.post(address, json={"instances": [[1, 2, 3, 4]]}, trust_env=False)
        assert (answer.status_code, answer.headers["x-model-digest"]) == (200, digest)
    assert service.status(workspace, "digits").state == "healthy"
    back = service.start(workspace, DIGITS, zoo_model, serving_python)
    assert (back.pid, back.shares) == (record.pid, {"1": 1})
    assert {predict(back).headers["x-model-digest"] for _ in range(20)} == {zoo_model.digest}


@pytest.mark.tensorflow
def test_a_public_service_takes_a_key_that_can_be_replaced(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    open_to_all = ServiceSpec(name="digits", host="0.0.0.0")
    with pytest.raises(InvalidInputError, match="so it takes a key"):
        service.start(workspace, open_to_all, zoo_model, serving_python)
    for key, other in (("first", "second"), ("second", "first")):
        record = service.start(
            workspace, open_to_all.model_copy(update={"key_digests": (key_digest(key),)}), zoo_model, serving_python
        )
        address = record.scoring_uri.replace("0.0.0.0", "127.0.0.1")
        body = {"instances": [[1, 2, 3, 4]]}
        sent = {
            name: httpx.post(address, json=body, headers=headers, trust_env=False).status_code
            for name, headers in (
                ("none", {}),
                ("right", {"Authorization": f"Bearer {key}"}),
                ("right, other header", {"X-API-Key": key}),
                ("wrong", {"Authorization": f"Bearer {other}"}),
            )
        }
        assert sent == {"none": 401, "right": 200, "right, other header": 200, "wrong": 403}
        kept = [path.read_bytes() for path in Path(record.folder).rglob("*") if path.is_file()]
        assert not any(f'"{key}"'.encode() in content for content in kept)


@pytest.mark.tensorflow
def test_another_server_takes_over_without_a_lost_request(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    old = service.start(workspace, DIGITS, zoo_model, serving_python)
    done = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not done.is_set():
                statuses.append(client.post(old.scoring_uri, json={"instances": [[1, 2, 3, 4]]}).status_code)

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        new = service.start(workspace, ServiceSpec(name="digits", workers=1), zoo_model, serving_python)
        done.set()
        for one in asking:
            one.result(30)
    assert new.pid != old.pid
    assert new.port == old.port
    assert set(statuses) == {200}
    assert [instance.pid for instance in living(Path(new.folder))] == [new.pid]


def sessions(folder: Path) -> set[int]:
    """Sessions of the processes that serve from a service's folder."""
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{folder}/instances/" in (process / "cmdline").read_text(errors="replace"):
                found.add(os.getsid(int(process.name)))
    return found


_UP = """
import sys
from pathlib import Path
from trainstack.core.models import model
from trainstack.core.services import service
from trainstack.core.workspace.workspace import Workspace
from trainstack.server.http.auth import key_digest

workspace = Workspace.open(Path(sys.argv[1]))
spec = service.ServiceSpec(name="digits")
service.start(workspace, spec, model.find(workspace, "zoo"), Path(sys.argv[2]), lambda line: print(line, flush=True))
"""


@pytest.mark.tensorflow
@pytest.mark.parametrize("moment", [0.0, 0.6, 2.5])
def test_a_start_that_is_killed_is_finished_by_the_next_call(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path, moment: float
):
    command = [sys.executable, "-c", _UP, str(workspace.root), str(serving_python)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert up.stdout.readline().startswith("starting a server")
        time.sleep(moment)
        up.kill()
    record = service.start(workspace, DIGITS, zoo_model, serving_python)
    assert predict(record).status_code == 200
    # Whoever the killed start had started is told by its command line, even before it has its lock.
    until(lambda: sessions(Path(record.folder)) == {record.pid}, 10)
    assert [instance.pid for instance in living(Path(record.folder))] == [record.pid]


def test_grpc_answers_on_its_port_also_while_another_server_takes_over(
    workspace: Workspace, zoo_model: model.ModelRecord, serving_python: Path
):
    port = free_port()
    old = service.start(workspace, ServiceSpec(name="digits", grpc_port=port), zoo_model, serving_python)
    ready = f"{INFERENCE}.GRPCInferenceService/ModelReady"
    request = message(INFERENCE, "ModelReadyRequest")(name="zoo")

    def answers() -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            response = message(INFERENCE, "ModelReadyResponse").FromString
            return channel.unary_unary(f"/{ready}", type(request).SerializeToString, response)(
                request, timeout=30
            ).ready

    assert answers()
    new = service.start(workspace, ServiceSpec(name="digits", grpc_port=port, workers=1), zoo_model, serving_python)
    assert new.pid != old.pid
    assert answers()
