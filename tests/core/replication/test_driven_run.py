"""Runs that are driven elsewhere, followed through a real S3 server; a process plays the pod that drives them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.core.sample_runs import SCRIPT
from tests.waiting import until

from trainstack.core.images.image import Image
from trainstack.core.replication import driven_run, shared
from trainstack.core.replication.driven_run import DrivenRun
from trainstack.core.replication.run_view import RunView
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution.submission import Outcome
from trainstack.errors import RunFailedError, TrainstackError
from trainstack.storage import lease
from trainstack.storage.object_store.store import ObjectStore
from trainstack.targets.base import DriverState, Runtime

pytestmark = pytest.mark.timeout(180)
# As the pod's program, but a lease lasts a moment, so that a killed driver is soon followed.
PROGRAM = """
import sys
from pathlib import Path
from trainstack.storage import lease
lease.acquire.__kwdefaults__["seconds"] = 2.0
from trainstack.core.replication import run_driver
sys.exit(run_driver.main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
"""


class Processes:
    """Drives runs by processes of this machine that have a cache of their own each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.drivers: list[subprocess.Popen[bytes]] = []

    def start(self, ref, spec):
        if self.state(ref).active:
            return
        number = len(self.drivers)
        secrets = self._folder / f"secrets-{number}.json"
        secrets.write_text(json.dumps(spec.secrets))
        environment = {**os.environ, "TRAINSTACK_CACHE": str(self._folder / f"driver-{number}")}
        command = [sys.executable, "-c", PROGRAM, spec.address, ref.id, str(secrets)]
        self.drivers.append(subprocess.Popen(command, env=environment, start_new_session=True))

    def state(self, ref):
        return DriverState(active=bool(self.drivers) and self.drivers[-1].poll() is None)

    def kill(self):
        """Kill the driver as the loss of its machine would; its nodes with it."""
        os.killpg(self.drivers[-1].pid, signal.SIGKILL)
        self.drivers[-1].wait()


@pytest.fixture
def hosts(tmp_path):
    processes = Processes(tmp_path)
    yield processes
    for driver in processes.drivers:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()


@pytest.fixture
def machine(machine, monkeypatch):
    """Makes this process another machine, with an empty cache, and opens the workspace there."""
    monkeypatch.setitem(lease.acquire.__kwdefaults__, "seconds", 2.0)
    monkeypatch.setattr(DrivenRun, "_image", lambda *_: Image(reference="driver", python=sys.executable))
    return lambda name: shared.created(machine(name), "team")


@pytest.fixture
def submitted(hosts, request_for, source):
    """Submits a run on a machine, and returns it with what that came to."""

    def submit(workspace, arguments=None, secrets=None, **given):
        request = request_for(arguments, **given)
        run = DrivenRun(workspace, request.spec.run_id, hosts)
        return run, run.submit(request, source, secrets or {}, lambda _line: None)

    return submit


@pytest.fixture(autouse=True)
def in_place(monkeypatch, packages):
    """The environment where the nodes are, which a cluster has as an image."""
    from trainstack.core.environments import environment

    python = str(environment.build(*packages).python)
    monkeypatch.setattr(driven_run.runtime, "ready", lambda *_: Runtime(python))


def test_whoever_submits_may_leave_and_another_machine_adopts(machine, submitted, hosts):
    run, outcome = submitted(machine("first"), {"--steps": 2})
    assert outcome is Outcome.STARTED
    assert hosts.drivers[0].wait() == 0
    again, outcome = submitted(machine("second"), {"--steps": 2})
    assert outcome is Outcome.ADOPTED
    record = again.follow(lambda _line: None)
    assert record.status is Status.COMPLETED
    assert (again.directory.outputs / "model" / "weights").read_text() == "2"
    assert len(hosts.drivers) == 1
    assert run.run_id == again.run_id


def test_a_run_that_goes_on_is_attached_to_with_its_log(machine, submitted, source, tmp_path):
    go = tmp_path / "go"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
    (source / "train.py").write_text(SCRIPT.replace("resumed = step > 0", f"print('waits', flush=True)\n{waits}"))
    submitted(machine("first"))
    second, outcome = submitted(machine("second"))
    assert outcome is Outcome.ATTACHED
    lines = []
    follower = threading.Thread(target=second.follow, args=(lines.append,))
    follower.start()
    until(lambda: any("waits" in line for line in lines))
    go.touch()
    follower.join()
    assert second.directory.read_file().status is Status.COMPLETED


def test_a_killed_driver_is_followed_by_one_that_resumes_from_the_checkpoint(machine, submitted, hosts):
    first, _ = submitted(machine("first"), {"--steps": 40, "--pause": 0.2})
    store = ObjectStore(first.address)
    until(lambda: any(item.key.endswith("checkpoints/step") for item in store.list("runs")))
    hosts.kill()
    second, outcome = submitted(machine("second"), {"--steps": 40, "--pause": 0.2})
    assert outcome is Outcome.RESUMED
    record = second.follow(lambda _line: None)
    assert record.attempt == 2
    assert "starting at 0" in second.directory.merged_log.read_text().splitlines()
    assert second.directory.merged_log.read_text().count("starting at") == 2
    assert (second.directory.outputs / "model" / "weights").read_text() == "40"


def test_a_run_can_be_stopped_from_any_machine(machine, submitted, hosts):
    first, _ = submitted(machine("first"), {"--steps": 1000, "--pause": 0.2})
    view = RunView(first.workspace, ObjectStore(first.address), first.run_id)
    until(lambda: (record := view.look()) and record.status is Status.RUNNING)
    second = DrivenRun(machine("second"), first.run_id, hosts)
    assert second.stop("enough").status is Status.CANCELED
    with pytest.raises(RunFailedError, match="canceled: enough"):
        first.follow(lambda _line: None)
    with pytest.raises(TrainstackError, match="is canceled: there is nothing to stop"):
        second.stop("enough")
    # Asked for again it goes on: the wish was for the submission before.
    third, outcome = submitted(machine("third"), {"--steps": 1000, "--pause": 0.2})
    assert outcome is Outcome.RESUMED
    until(lambda: (record := view.look()) and record.status is Status.RUNNING)
    assert third.stop("enough again").reason == "enough again"


def test_a_failed_run_says_what_its_script_printed_last(machine, submitted):
    run, _ = submitted(machine("first"), {"--exit": 3})
    with pytest.raises(RunFailedError, match=r"(?s)failed: .*about to fail"):
        run.follow(lambda _line: None)


def test_secrets_reach_the_script_and_no_object_of_the_store(machine, submitted):
    run, _ = submitted(machine("first"), {"--steps": 1}, {"TOKEN": "hush-driven"})
    run.follow(lambda _line: None)
    assert json.loads((run.directory.outputs / "seen.json").read_text())["token"] == "hush-driven"
    store = ObjectStore(run.address)
    kept = [item.key for item in store.list("runs") if not item.key.endswith("seen.json")]
    assert kept
    assert not [key for key in kept if b"hush-driven" in store.get(key).data]


def test_a_run_whose_driver_is_gone_says_how_to_go_on(machine, submitted, hosts, monkeypatch):
    monkeypatch.setattr(driven_run, "_LOST_SECONDS", 0.5)
    monkeypatch.setattr(driven_run, "_STATE_SECONDS", 0.1)
    run, _ = submitted(machine("first"), {"--steps": 1000, "--pause": 0.2})
    hosts.kill()
    with pytest.raises(TrainstackError, match="no driver in the cluster any more; run `pulumi up` again to go on"):
        run.follow(lambda _line: None)


def test_a_deleted_cache_loses_no_driven_run(machine, submitted, tmp_path):
    run, _ = submitted(machine("first"), {"--steps": 3, "--pause": 0.2})
    shutil.rmtree(tmp_path / "first" / "workspaces")
    again, _ = submitted(machine("first"), {"--steps": 3, "--pause": 0.2})
    assert again.follow(lambda _line: None).status is Status.COMPLETED
    assert RunDirectory(again.directory.root).outputs.is_dir()
    assert run.run_id == again.run_id
