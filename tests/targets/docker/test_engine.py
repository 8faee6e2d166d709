"""Reaching a Docker engine, and what is said when none answers."""

import os
import subprocess
import sys

import pytest

from trainstack.docker_engine import engine_api
from trainstack.errors import InvalidInputError, TrainstackError


@pytest.mark.parametrize("address", ["localhost:2375", "ftp://host", "unix://", "tcp://host:port", "ssh://"])
def test_an_invalid_address_is_refused_without_a_connection(address):
    with pytest.raises(InvalidInputError, match="is not an address of Docker's"):
        engine_api.connect(address)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(InvalidInputError) as caught:
        engine_api.checked_host("ssh://me:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_a_missing_socket_is_one_line_with_address_and_remedy(tmp_path):
    address = f"unix://{tmp_path}/docker.sock"
    with pytest.raises(TrainstackError) as caught:
        engine_api.connect(address)
    said = str(caught.value)
    assert "\n" not in said
    assert f"no Docker engine answers at {address}: No such file or directory" in said
    assert "DOCKER_HOST" in said


def test_a_closed_port_is_one_line():
    with pytest.raises(TrainstackError, match=r"answers at tcp://127\.0\.0\.1:1: Connection refused"):
        engine_api.connect("tcp://127.0.0.1:1")


def test_ssh_says_what_ssh_said(tmp_path, monkeypatch):
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(TrainstackError, match=r"ssh://me@host: over ssh: Permission denied \(publickey\)\."):
        engine_api.connect("ssh://me@host")


def test_the_variable_names_the_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/named.sock")
    with pytest.raises(TrainstackError, match=r"named\.sock"):
        engine_api.connect()


@pytest.mark.skipif("DOCKER_HOST" not in os.environ, reason="DOCKER_HOST names no engine")
def test_a_real_engine_says_what_it_is():
    with engine_api.connected() as client:
        found = engine_api.engine_info(client)
    assert found.version
    assert found.system.startswith("linux/")
    assert found.cpus >= 1
    assert "runc" in found.runtimes


def test_the_sdk_loads_ssh_only_where_it_is_needed():
    code = """
import sys
from trainstack.docker_engine import sdk
sdk.load(ssh=False)
assert "paramiko" not in sys.modules
docker = sdk.load(ssh=True)
assert docker.api.client.SSHHTTPAdapter.__module__ == "docker.transport.sshconn"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
