"""What pods are handed through a claim, with folders and processes of this machine in their place."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath

import pytest
from tests.waiting import until

from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.targets.base import Capacity, NodeGroupSpec, RunRef, Runtime
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.exec import script
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.transfer import pvc_transfer
from trainstack.targets.kubernetes.transfer.pvc_transfer import PvcTransfer

TABLE = bytes(range(256)) * 1024


@pytest.fixture
def claim(tmp_path, monkeypatch):
    folder = tmp_path / "claim"
    folder.mkdir()
    monkeypatch.setattr(run_objects, "STORE", PurePosixPath(folder))
    monkeypatch.setattr(pvc_transfer, "CONTENT", PurePosixPath(folder, "content", "sha256"))
    return folder


def laid_out(root, table=TABLE):
    for name in ("code", "agent"):
        (root / name).mkdir(parents=True)
    (root / "code" / "train.py").write_text("pass")
    (root / "code" / "table").write_bytes(table)
    (root / "launch.json").write_text(json.dumps({"attempt": root.name}))
    return RunRef(root, "89abcdef")


@pytest.fixture
def ref(tmp_path):
    return laid_out(tmp_path / "ws" / "runs" / "0123456789abcdef")


class Pod:
    """A sidecar's programs, in a folder in the place of a pod."""

    def __init__(self, root):
        self.root = root
        self.ran = []
        self.breaks = ""

    def __call__(self, what, arguments, given):
        verb = arguments[1] if what == "pvc_store" else what
        self.ran.append(verb)
        if verb == self.breaks:
            raise TrainstackError("the pod is gone")
        arguments = [str(self.root) + it if it.startswith("/trainstack/") else it for it in arguments]
        for folder in (run_objects.INPUTS, run_objects.WRITABLE):
            Path(f"{self.root}{folder}").mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", script(what), *arguments], input=b"".join(given), capture_output=True, check=False
        )
        if done.returncode:
            raise TrainstackError(done.stderr.decode().strip().splitlines()[-1])
        return done.stdout.decode().strip()

    def table(self):
        return Path(f"{self.root}{run_objects.INPUTS}/code/table").read_bytes()


def store(ref):
    made = PvcTransfer(KubernetesApi(KubernetesConfig(store="shared")), "shared", ref)
    runtime = Runtime("/opt/python", "registry.example/environment@sha256:" + "0" * 64)
    made.begin(NodeGroupSpec(attempt=1, node_count=2, runtime=runtime, holds=Capacity(cpus=1, memory_gib=1)))
    return made


def test_the_first_pod_uploads_and_the_others_read(claim, ref, tmp_path):
    pods = [Pod(tmp_path / str(number)) for number in range(3)]
    made = store(ref)
    threads = [threading.Thread(target=made.hand_over, args=[pod]) for pod in pods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(pod.ran.count("put") for pod in pods) == 1
    assert {pod.table() for pod in pods} == {TABLE}
    noted = json.loads((ref.root / "claim.json").read_text())
    assert (noted["claim"], noted["attempt"]) == ("shared", 1)
    assert len(TABLE) < noted["streamed_bytes"] < 2 * len(TABLE)
    [content] = (claim / "content" / "sha256").iterdir()
    assert hashlib.sha256(content.read_bytes()).hexdigest() == content.name
    # What is small, and no other run has, is handed to each.
    assert all(pod.ran.count("unpack") == 2 for pod in pods)


def test_the_same_code_is_uploaded_once(claim, ref, tmp_path):
    other = laid_out(ref.root.parent / "fedcba9876543210")
    made, pod = store(other), Pod(tmp_path / "pod")
    store(ref).hand_over(first := Pod(tmp_path / "first"))
    assert first.ran.count("put") == 1
    [content] = (claim / "content" / "sha256").iterdir()
    aside = content.rename(claim / "aside")
    # Somebody else is bringing it just now.
    with locks.exclusive_while(ref.root.parent.parent / "locks" / f"shared-{content.name}", lambda: True):
        thread = threading.Thread(target=made.hand_over, args=[pod])
        thread.start()
        until(lambda: pod.ran.count("missing") >= 2)
        assert "put" not in pod.ran
        aside.rename(content)
        thread.join()
    assert "put" not in pod.ran
    assert pod.table() == TABLE


def test_the_next_pod_uploads_what_a_lost_pod_began(claim, ref, tmp_path):
    lost = Pod(tmp_path / "lost")
    lost.breaks = "put"
    with pytest.raises(TrainstackError, match="the pod is gone"):
        store(ref).hand_over(lost)
    folder = claim / "content" / "sha256"
    half, old = folder / ".half", folder / ("0" * 64)
    half.write_bytes(b"half of it")
    old.write_bytes(b"what nobody has used for long")
    for path, days in ((half, 2), (old, 31)):
        os.utime(path, (path.stat().st_mtime - days * 86400,) * 2)
    store(ref).hand_over(Pod(tmp_path / "next"))
    [content] = folder.iterdir()
    assert content.name != old.name


@pytest.mark.parametrize("harm", [lambda data: data[:1000], lambda data: data[:9000] + b"x" + data[9001:]])
def test_content_that_is_damaged_is_brought_anew(claim, ref, tmp_path, harm):
    store(ref).hand_over(Pod(tmp_path / "first"))
    [content] = (claim / "content" / "sha256").iterdir()
    content.write_bytes(harm(content.read_bytes()))
    second = Pod(tmp_path / "second")
    store(ref).hand_over(second)
    assert second.ran.count("put") == 1
    assert second.table() == TABLE


def test_a_file_that_changes_while_it_is_sent_is_told(claim, ref, tmp_path):
    made, pod = store(ref), Pod(tmp_path / "pod")
    assert made._pieces.inputs
    (ref.root / "code" / "table").write_bytes(TABLE[::-1])
    with pytest.raises(TrainstackError, match="was changed while it was sent"):
        made.hand_over(pod)
    assert list((claim / "content" / "sha256").iterdir()) == []


def test_a_read_only_claim_is_named_before_anything_starts(claim, ref, tmp_path):
    (claim / "content").write_text("no folder")
    with pytest.raises(TrainstackError, match=r"^claim shared: .*look after its volume"):
        store(ref).hand_over(Pod(tmp_path / "pod"))
    assert not (ref.root / "claim.json").exists()


def test_large_checkpoints_lie_with_the_run(claim, ref, tmp_path):
    (ref.root / "checkpoints").mkdir()
    (ref.root / "checkpoints" / "weights").write_bytes(TABLE)
    pod = Pod(tmp_path / "pod")
    store(ref).hand_over(pod)
    assert len(list((claim / "content" / "sha256").iterdir())) == 1
    assert len(list((claim / "runs" / "89abcdef" / ref.id / "inputs").iterdir())) == 1
    assert Path(f"{pod.root}{run_objects.WRITABLE}/checkpoints/weights").read_bytes() == TABLE
    pod("pvc_store", ["shared", "remove", str(run_objects.store_folder(ref))], [])
    assert list((claim / "runs" / "89abcdef").iterdir()) == []
