"""Commands that only read, over a workspace in a real S3 server."""

import json
from pathlib import Path

import pytest

from trainstack.core.replication.copies import push
from trainstack.core.runs.directory import Status
from trainstack.core.runs.indexed_store import indexed
from trainstack.storage.addresses import open_store
from trainstack.storage.atomic import write_json
from trainstack.storage.digest import of_bytes


@pytest.fixture
def pushed(tmp_path, written, workspace, bucket_address):
    """A workspace with two runs, in a store."""
    code = workspace.blobs.partial("code")
    code.write_bytes(b"code")
    workspace.blobs.adopt(code, of_bytes(b"code"))
    files = {"files": {"train.py": of_bytes(b"code")}}
    run = written("a1b2c3d4e5f60718", request=files, outputs={"model": of_bytes(b"weights")}, metrics={"loss": 0.5})
    run.outputs.mkdir()
    (run.outputs / "model").write_bytes(b"weights")
    run.logs.mkdir(exist_ok=True)
    run.merged_log.write_bytes(b"hello\n")
    written("ffffffffffffffff", request=files, status=Status.FAILED, reason="exit code 1", created=1.0)
    push(workspace, open_store(bucket_address))
    return bucket_address


@pytest.mark.parametrize("command", [("runs", "list"), ("models", "list"), ("datasets", "list"), ("sweeps", "list")])
def test_lists_are_those_of_the_folder(pushed, json_output, command):
    for _ in range(2):
        assert json_output(*command, "--workspace", pushed) == json_output(*command)


def test_a_run_is_shown_with_its_addresses(pushed, json_output, cli, workspace):
    there, here = (json_output("runs", "show", "a1b", *at) for at in (("--workspace", pushed), ()))
    assert there["paths"]["directory"] == f"{pushed}/runs/a1b2c3d4e5f60718"
    assert there["outputs"] == [{"path": "outputs/model", "bytes": 7, "sha256": of_bytes(b"weights")}]
    assert {**there, "outputs": 0, "paths": 0} == {**here, "outputs": 0, "paths": 0}
    shown = cli("runs", "show", "a1b", "--workspace", pushed)
    assert shown.exit_code == 0
    assert f"{pushed}/runs/a1b2c3d4e5f60718/logs/run.txt" in shown.stdout


def test_the_environment_and_the_config_name_it_too(pushed, json_output, monkeypatch, tmp_path):
    expected = json_output("runs", "list")
    monkeypatch.setenv("TRAINSTACK_WORKSPACE", pushed)
    assert json_output("runs", "list") == expected
    monkeypatch.delenv("TRAINSTACK_WORKSPACE")
    write_json(tmp_path / "config.json", {"name": "tests", "root": pushed})
    monkeypatch.chdir(tmp_path)
    assert json_output("runs", "list") == expected


def test_what_changes_in_the_store_is_seen(pushed, json_output, written, workspace):
    at = ("--workspace", pushed)
    assert [run["id"] for run in json_output("runs", "list", *at)] == ["a1b2c3d4e5f60718", "ffffffffffffffff"]
    files = {"files": {"train.py": of_bytes(b"code")}}
    written("ffffffffffffffff", request=files, status=Status.COMPLETED, created=1.0)
    written("eeeeeeeeeeeeeeee", request=files, created=2.0)
    store = open_store(pushed)
    push(workspace, store)
    runs = json_output("runs", "list", *at)
    assert [(run["id"][0], run["status"]) for run in runs] == [
        ("a", "completed"),
        ("e", "completed"),
        ("f", "completed"),
    ]
    indexed(store).delete("runs/eeeeeeeeeeeeeeee/run.json")
    assert [run["id"][0] for run in json_output("runs", "list", *at)] == ["a", "f"]


def test_a_second_list_asks_only_for_listings(pushed, bucket_address, proxy, json_output):
    json_output("runs", "list", "--workspace", pushed)
    proxy.requests.clear()
    json_output("runs", "list", "--workspace", pushed)
    assert len(proxy.requests) <= 7


def test_a_run_is_purged_there_and_its_rest_is_collected(pushed, json_output, cli):
    at = ("--workspace", pushed)
    (purged,) = json_output("purge", "a1b", "--yes", *at)
    assert purged["name"] == "a1b2c3d4e5f60718"
    assert [run["id"][0] for run in json_output("runs", "list", *at)] == ["f"]
    assert json_output("gc", *at)["items"] == []
    assert cli("fsck", *at).stdout.endswith("all whole\n")


def test_damage_in_the_store_is_found(pushed, json_output, cli):
    store = open_store(pushed)
    store.delete("runs/a1b2c3d4e5f60718/outputs/model")
    result = cli("fsck", "--workspace", pushed, "--json")
    (damage,) = json.loads(result.stdout)["damages"]
    assert (result.exit_code, damage["kind"], damage["problem"]) == (1, "run", "gone")
    assert damage["name"] == "a1b2c3d4e5f60718: outputs/model"


def test_files_of_a_run_come_from_there(pushed, cli, json_output, tmp_path):
    at = ("--workspace", pushed)
    (copy,) = json_output("runs", "download", "a1b", "outputs", "--to", str(tmp_path / "to"), *at)
    assert Path(copy).read_bytes() == b"weights"
    assert cli("runs", "logs", "a1b", *at).stdout == "hello\n"
    assert cli("runs", "logs", "a1b", "-f", *at).stdout == "hello\n"


def test_there_is_none_at_an_address(bucket_address, cli):
    result = cli("runs", "list", "--workspace", bucket_address)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"error: no workspace at {bucket_address}: ")
