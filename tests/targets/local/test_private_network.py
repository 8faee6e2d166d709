"""A network of its own: who enters meets the others and nobody else; by root and by a user without rights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attack.stranger import run_as_stranger

from trainstack.errors import InvalidInputError
from trainstack.targets.compute_spec import ComputeSpec
from trainstack.targets.local import private_network

# Where the stranger cannot read our files, it gets them as text.
MODULE = Path(private_network.__file__).read_text().partition("\nif __name__")[0]
MEETING = (
    MODULE
    + """
import time

SERVER = "import socket; s = socket.create_server(('0.0.0.0', 15999)); print(flush=True); s.accept()[0].sendall(b'hi')"
CLIENT = "import socket; print(socket.create_connection(('127.0.0.1', 15999), 5).recv(2).decode())"
AWAY = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9))"

network = PrivateNetwork()
server = subprocess.Popen([sys.executable, "-c", SERVER], preexec_fn=network.enter, stdout=subprocess.PIPE)
network.open(server.pid)
server.stdout.readline()
outside = socket.socket().connect_ex(("127.0.0.1", 15999))
inside = subprocess.run([sys.executable, "-c", CLIENT], preexec_fn=network.enter, capture_output=True, text=True)
away = subprocess.run([sys.executable, "-c", AWAY], preexec_fn=PrivateNetwork().enter, capture_output=True, text=True)
network.close()
print(outside != 0, inside.stdout.strip(), "unreachable" in away.stderr, os.geteuid())
"""
)


def as_this_user(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("who", ["this user", "another user"])
def test_those_inside_meet_and_nobody_else_gets_in(who: str) -> None:
    run: Callable[[str], subprocess.CompletedProcess[str]] = (
        run_as_stranger() if who == "another user" else as_this_user
    )
    if problem := private_network.problem():
        pytest.skip(problem)
    done = run(MEETING)
    assert done.stdout.split()[:3] == ["True", "hi", "True"], done.stdout + done.stderr


def test_a_machine_without_namespaces_asks_to_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_network, "problem", lambda: "user namespaces are not allowed here")
    with pytest.raises(InvalidInputError, match=r"user namespaces are not allowed here.*allow_network=True"):
        ComputeSpec(name="nodes").plugin.check_private_network()
