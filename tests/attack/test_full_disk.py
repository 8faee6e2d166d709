"""A script fills the disk of its workspace: the run can be stopped, and its record says which disk was full of what."""

import pytest
from tests.core.sample_runs import printed, request, tiny_environment
from tests.small_disk import small_disk
from tests.waiting import until

from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import RunFailedError

FILL = """
import pathlib, sys, time
# The workspace's own bytes are few: what is left is taken up to the last.
for name, size in (("much", 65536), ("little", 1)):
    try:
        with open(f"outputs/{name}", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * size)
    except OSError as exc:
        error = exc
print("full", file=sys.stderr, flush=True)
if "--wait" in sys.argv:
    time.sleep(600)
if "--fail" in sys.argv:
    raise error
"""


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MiB, where the kernel lets us mount one."""
    with small_disk(tmp_path / "disk", lazy=True) as folder:
        if folder is None:
            pytest.skip("mounting a small tmpfs takes root")
        yield folder


@pytest.fixture
def fill(disk, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(FILL)
    workspace = Workspace.create(disk / "ws", "ws")

    def fill(option):
        return submission.submit(workspace, request(tiny_environment(), source, [option]), source, {}).directory

    return fill


def test_a_run_that_filled_its_disk_can_be_stopped(fill):
    run = fill("--wait")
    until(lambda: (run.outputs / "little").exists() and run.read().status is Status.RUNNING)
    until(lambda: printed(run, "full") or _is_full(run.root))
    record = submission.stop(run, "enough of it")
    assert record.status is Status.CANCELED
    assert record.reason == "enough of it"


@pytest.mark.parametrize("option", ["--fail", "--end"])
def test_the_record_names_disk_path_and_bytes(fill, disk, option):
    run = fill(option)
    with pytest.raises(RunFailedError):
        submission.follow(run)
    record = run.read_file()
    assert record.status is Status.FAILED
    assert f"disk full while writing {run.root}" in record.reason
    assert f"{disk} has " in record.reason
    assert "of 4,194,304 bytes free" in record.reason
    assert not (run.root / ".reserve").exists()


def _is_full(folder):
    try:
        (folder / "trial").write_bytes(b"x" * 4096)
    except OSError:
        return True
    (folder / "trial").unlink()
    return False
