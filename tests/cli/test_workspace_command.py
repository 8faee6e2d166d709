"""`workspace push` and `pull`, over a real S3 server: what they say, and what a kill leaves."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.faulty_proxy import Fault
from tests.waiting import until

from trainstack.core.datasets import dataset
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs.directory import Status
from trainstack.storage.addresses import open_store
from trainstack.storage.digest import of_bytes

MODEL = os.urandom(3_000_000)


@pytest.fixture
def filled(workspace, written, tmp_path):
    """A workspace with a dataset, a completed and a failed run, and a model."""
    run = written("a1b2c3d4e5f60718", outputs={"model": of_bytes(MODEL)}, metrics={"loss": 0.5})
    (run.outputs).mkdir()
    (run.outputs / "model").write_bytes(MODEL)
    code = workspace.blobs.partial("code")
    code.write_bytes(b"code")
    workspace.blobs.adopt(code, of_bytes(b"code"))
    for each in (run, written("ffffffffffffffff", status=Status.FAILED, reason="exit code 1")):
        spec = json.loads((each.root / "spec.json").read_text())
        spec["spec"]["files"] = {"train.py": of_bytes(b"code")}
        (each.root / "spec.json").write_text(json.dumps(spec))
    model.register(workspace, ModelSpec(name="net"), Path("outputs/model"), run.id)
    (tmp_path / "data").mkdir()
    for number in range(60):
        (tmp_path / "data" / f"{number}.csv").write_bytes(b"%d" % number * 1000)
    dataset.register(workspace, DatasetSpec(name="data", paths=(str(tmp_path / "data"),)))
    return workspace


def listed(json_output, workspace=None):
    at = ("--workspace", str(workspace)) if workspace else ()
    commands = (("runs", "list"), ("models", "list"), ("datasets", "list"), ("sweeps", "list"))
    text = json.dumps([json_output(*command, *at) for command in commands])
    return text.replace(str(workspace), "ROOT") if workspace else text


def test_a_pulled_workspace_lists_the_same(filled, bucket_address, cli, json_output, tmp_path):
    pushed = cli("workspace", "push", bucket_address)
    assert (pushed.exit_code, pushed.stderr) == (0, "")
    assert "of workspace tests from" in pushed.stdout
    copy = tmp_path / "copy"
    pulled = cli("workspace", "pull", bucket_address, "--workspace", str(copy))
    assert pulled.exit_code == 0
    assert listed(json_output, copy) == listed(json_output).replace(str(filled.root), "ROOT")
    assert json_output("fsck", "--workspace", str(copy))["whole"] is True
    again = json_output("workspace", "push", bucket_address)
    assert (again["files"], again["bytes"], again["conflicts"]) == (0, 0, [])


def test_a_killed_push_and_pull_go_on(filled, bucket_address, proxy, program, json_output, tmp_path):
    words, environment = program
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "TRAINSTACK_"))}
    copy = tmp_path / "copy"
    for arguments, method in ((["push", bucket_address], "PUT"), (["pull", bucket_address], "GET")):
        command = [*words, "workspace", *arguments, *(["--workspace", str(copy)] if method == "GET" else [])]
        passed = [40]

        def hang_after_some(request, method=method, passed=passed):
            passed[0] -= request.method == method
            return Fault(hang=True) if passed[0] < 0 else None

        proxy.fault = hang_after_some
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        until(lambda passed=passed: passed[0] < -1)
        process.kill()
        process.wait()
        proxy.fault = lambda _: None
        proxy.requests.clear()
        subprocess.run(command, env=environment, check=True)
        assert 5 < len([request for request in proxy.requests if request.method == method]) < 80
    assert listed(json_output, copy) == listed(json_output).replace(str(filled.root), "ROOT")
    assert json_output("fsck", "--workspace", str(copy))["whole"] is True


def test_what_is_left_out_is_said(filled, bucket_address, cli, written, holding, tmp_path):
    running = written("eeeeeeeeeeeeeeee", status=Status.RUNNING)
    (running.root / "lock").touch()
    with holding(running.root / "lock"):
        result = cli("workspace", "push", bucket_address)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "left out: runs/eeeeeeeeeeeeeeee goes on; push again when it has ended",
    )
    store = open_store(bucket_address)
    store.replace("runs/ffffffffffffffff/run.json", b"{}", store.get("runs/ffffffffffffffff/run.json").version)
    written("ffffffffffffffff", status=Status.CANCELED)
    result = cli("workspace", "push", bucket_address)
    assert result.exit_code == 1
    line = "conflict: runs/ffffffffffffffff/run.json was changed in the folder and in the store; neither was touched"
    assert line in result.stdout.splitlines()
    harmed = bytearray(MODEL)
    harmed[1000] ^= 1
    (tmp_path / "harmed").write_bytes(harmed)
    store.upload(tmp_path / "harmed", "runs/a1b2c3d4e5f60718/outputs/model")
    result = cli("workspace", "pull", bucket_address, "--workspace", str(tmp_path / "copy"))
    assert result.exit_code == 1
    assert "damaged: runs/a1b2c3d4e5f60718: outputs/model is damaged or gone; it was not copied" in result.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("push", "s3://no-such-bucket/a"), "s3://no-such-bucket/a: there is no bucket 'no-such-bucket'"),
        (("push", "ftp://host/a"), "store 'ftp://host/a' is no address of a bucket: write s3://BUCKET/FOLDER"),
        (("pull", "s3://trainstack/no-such-folder"), "no workspace at s3://trainstack/no-such-folder"),
    ],
)
def test_a_wrong_address_is_one_line(filled, bucket_address, cli, words, says):
    result = cli("workspace", *words)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {says}")
    assert result.stderr.count("\n") == 1
