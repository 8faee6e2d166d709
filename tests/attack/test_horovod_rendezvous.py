"""Another user of the machine sends pickles and positions to the rendezvous of a Horovod run, with the real Horovod."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import trainstack.agent

pytestmark = pytest.mark.tensorflow
SCRIPT = """
import base64, http.client, os, pickle, socket, sys
from trainstack.agent.strategies.elastic_driver import rendezvous_handler
from trainstack.agent.strategies.rendezvous import horovod_module, rendezvous_address, rendezvous_server

marker = sys.argv[1]
class Attack:
    def __reduce__(self):
        return os.system, (f"touch {marker}",)
payload = base64.b64encode(pickle.dumps(Attack()))

class Driver:
    def __init__(self):
        self.registered = []
    def register_worker_server(self, *worker):
        self.registered.append(worker)

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
driver = Driver()
server = rendezvous_server("127.0.0.1", port)
server.start(rendezvous_handler(driver))
server.init([])

def ask(method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""

address = rendezvous_address("127.0.0.1", port)
secret = address.partition("/")[2]
for prefix in ("", "/guessed:1", "/:1", "/" + secret[:-1], "/" + secret + "0", "/%C3%A9"):
    for method in ("GET", "PUT", "DELETE", "HEAD", "POST"):
        for path in ("/worker_addresses/slot-0:0", "/global/0", "/rank_and_size/slot-0:0", "/", "/etc/passwd"):
            status, body = ask(method, prefix + path, payload if method in ("PUT", "POST") else None)
            assert status == 403, (method, prefix, path, status)
            assert secret.encode() not in body
assert not driver.registered
# Whoever belongs to the run is let in, and still has nothing executed.
assert ask("PUT", f"/{secret}:1/worker_addresses/slot-0:0", payload)[0] == 0
assert not os.path.exists(marker)
# As Horovod's C++ and Python make their addresses.
client = horovod_module("runner.http.http_client")
client.put_data_into_kvstore(address, port, "worker_addresses", "slot-0:0", ({"lo": [("127.0.0.1", 5)]}, b"key"))
assert driver.registered == [("slot-0", 0, {"lo": [("127.0.0.1", 5)]}, b"key")], driver.registered
assert ask("PUT", f"/{secret}:{port}/global/0", b"value")[0] == 200
assert ask("GET", f"/{secret}:{port}/global/0") == (200, b"value")
print("held")
"""


def test_the_rendezvous_answers_its_own_ranks_alone_and_unpickles_no_code(horovod_python, tmp_path):
    # As a run has it: the agent alone.
    shutil.copytree(Path(trainstack.agent.__file__).parent, tmp_path / "trainstack" / "agent")
    (tmp_path / "trainstack" / "__init__.py").touch()
    done = subprocess.run(
        [horovod_python, "-c", SCRIPT, tmp_path / "marker"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "TRAINSTACK_LAUNCH_KEY": "the launch's key"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "held", done.stderr[-3000:]
    assert not (tmp_path / "marker").exists()
