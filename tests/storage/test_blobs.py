"""Blobs: written once, read-only, handed out by link, never trusted once somebody wrote to them."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

import pytest

from trainstack.errors import DigestMismatchError, NotFoundError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.blobs import BlobStore

CONTENT = b"some data\n" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()

ADDER = """
import sys
from pathlib import Path
from trainstack.storage.blobs import BlobStore
print("ready", flush=True)
BlobStore(Path(sys.argv[1])).add(Path(sys.argv[2]))
"""


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(CONTENT)
    return path


def unfinished(store):
    return list((store.root / "partial").iterdir())


def overwrite(path, content):
    """Write to a blob as a program of its owner, or of root, can."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)


def test_a_blob_is_named_by_its_bytes_and_is_read_only(store, source):
    assert store.add(source) == DIGEST
    path = store.path(DIGEST)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o444
    assert path.parts[-3:] == ("sha256", DIGEST[:2], DIGEST)
    assert list(store) == [DIGEST]
    assert source.read_bytes() == CONTENT
    assert unfinished(store) == []


def test_adding_the_same_bytes_twice_keeps_one_file(store, source):
    store.add(source)
    inode = store.path(DIGEST).stat().st_ino
    assert store.add(source) == DIGEST
    assert store.path(DIGEST).stat().st_ino == inode
    assert unfinished(store) == []


def test_an_empty_file_is_a_blob(store, tmp_path):
    (tmp_path / "empty").touch()
    digest = store.add(tmp_path / "empty")
    assert digest == hashlib.sha256(b"").hexdigest()
    assert store.has(digest)


def test_bytes_that_were_not_promised_are_refused_and_not_kept(store, source):
    promised = "0" * 64
    with pytest.raises(DigestMismatchError, match=f"{DIGEST}, not {promised}"):
        store.add(source, expected=promised)
    assert not store.has(DIGEST)
    assert not store.has(promised)
    assert unfinished(store) == []


def test_a_source_that_is_missing_is_the_sources_error(store, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        store.add(tmp_path / "nowhere")


def test_a_link_is_the_blob_itself(store, source, tmp_path):
    store.add(source)
    store.link(DIGEST, tmp_path / "run" / "data" / "a.bin")
    linked = (tmp_path / "run" / "data" / "a.bin").stat()
    assert linked.st_ino == store.path(DIGEST).stat().st_ino
    assert linked.st_mode & 0o222 == 0


def test_a_link_replaces_what_was_there(store, source, tmp_path):
    store.add(source)
    (tmp_path / "a.bin").write_bytes(b"left by a killed run")
    store.link(DIGEST, tmp_path / "a.bin")
    store.link(DIGEST, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_another_file_system_gets_a_copy(store, source, small_disk):
    store.add(source)
    store.link(DIGEST, small_disk / "a.bin")
    assert (small_disk / "a.bin").read_bytes() == CONTENT
    assert (small_disk / "a.bin").stat().st_mode & 0o222 == 0
    assert [path.name for path in small_disk.iterdir()] == ["a.bin"]


def test_a_missing_blob_cannot_be_linked(store, tmp_path):
    with pytest.raises(NotFoundError, match=f"blob {DIGEST} is gone"):
        store.link(DIGEST, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("damage", [b"SOME", CONTENT + b"more"])
def test_a_blob_written_to_through_a_link_is_not_trusted(store, source, tmp_path, damage):
    store.add(source)
    store.link(DIGEST, tmp_path / "a.bin")
    overwrite(tmp_path / "a.bin", damage)
    assert not store.has(DIGEST)
    assert not store.verify(DIGEST)
    with pytest.raises(NotFoundError, match=f"blob {DIGEST} is damaged"):
        store.link(DIGEST, tmp_path / "b.bin")


def test_adding_the_bytes_again_heals_a_damaged_blob(store, source, tmp_path):
    store.add(source)
    overwrite(store.path(DIGEST), b"SOME")
    store.add(source)
    assert store.has(DIGEST)
    assert store.path(DIGEST).read_bytes() == CONTENT


def test_an_unharmed_blob_is_not_read(store, source, monkeypatch):
    store.add(source)
    monkeypatch.setattr(digests, "of_file", lambda path: pytest.fail(f"read {path}"))
    assert store.has(DIGEST)


def test_a_store_copied_without_its_times_is_read_once(store, source, tmp_path, monkeypatch):
    store.add(source)
    copied = tmp_path / "copied"
    shutil.copytree(store.root, copied, copy_function=shutil.copyfile)
    assert BlobStore(copied).has(DIGEST)
    monkeypatch.setattr(digests, "of_file", lambda path: pytest.fail(f"read {path} again"))
    assert BlobStore(copied).has(DIGEST)


def test_linked_files_can_be_zipped(store, source, tmp_path):
    store.add(source)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(store.path(DIGEST), "a.bin")
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        assert archive.read("a.bin") == CONTENT


def test_a_full_disk_is_one_line_and_leaves_no_half_blob(small_disk, tmp_path):
    store = BlobStore(small_disk / "blobs")
    (tmp_path / "large").write_bytes(os.urandom(3_000_000))
    (tmp_path / "small").write_bytes(CONTENT)
    with pytest.raises(TrainstackError, match=r"disk full while writing .*free some space") as caught:
        store.add(tmp_path / "large")
    assert "\n" not in str(caught.value)
    assert list(store) == []
    assert unfinished(store) == []
    assert store.add(tmp_path / "small") == DIGEST


def test_an_adder_killed_at_any_point_leaves_whole_blobs_only(store, tmp_path):
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(30_000_000))
    for delay in (0.0, 0.01, 0.02, 0.04, 0.08):
        process = subprocess.Popen([sys.executable, "-c", ADDER, str(store.root), str(source)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert all(store.verify(digest) for digest in store)
    digest = store.add(source)
    assert store.verify(digest)


def test_leftovers_are_swept_after_a_week_and_no_sooner(store):
    old, fresh = store.partial("old.add"), store.partial("fresh.add")
    old.write_bytes(b"x")
    fresh.write_bytes(b"x")
    eight_days_ago = time.time() - 8 * 24 * 3600
    os.utime(old, (eight_days_ago, eight_days_ago))
    store.sweep()
    assert unfinished(store) == [fresh]


def test_a_sealed_file_before_its_move_is_not_swept(store):
    sealed = store.partial("sealed.add")
    sealed.write_bytes(b"x")
    os.utime(sealed, (1_000_000_000, 1_000_000_000))
    store.sweep()
    assert unfinished(store) == [sealed]


def test_a_blob_that_is_distrusted_is_replaced_by_a_whole_one(store, source):
    digest = store.add(source)
    status = store.path(digest).stat()
    store.path(digest).chmod(0o644)
    store.path(digest).write_bytes(b"rotten")
    os.utime(store.path(digest), ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert store.has(digest)
    store.distrust(digest)
    assert not store.has(digest)
    assert store.add(source) == digest
    assert store.verify(digest)


def test_two_writers_of_one_blob_do_not_disturb_each_other(store, source):
    results = []
    threads = [threading.Thread(target=lambda: results.append(store.add(source))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [DIGEST] * 8
    assert store.verify(DIGEST)
    assert unfinished(store) == []
