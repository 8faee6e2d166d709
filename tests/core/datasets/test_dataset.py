"""Datasets are registered once, versioned by content, and handed out by link."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from tests.core.file_server import file_server

from trainstack.core.datasets import contents as dataset_contents
from trainstack.core.datasets import dataset, download
from trainstack.core.datasets.dataset import (
    DatasetSpec,
    find,
    lend_into,
    list_datasets,
    local_digest,
    register,
    to_path,
)
from trainstack.core.datasets.progress import RegistrationProgress, format_bytes
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import DigestMismatchError, InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage import blobs, locks
from trainstack.storage import digest as digests
from trainstack.storage.clone import clone

IMAGES, LABELS = os.urandom(400_000), os.urandom(50_000)

REGISTRAR = """
import json, sys
from pathlib import Path
from trainstack.core.datasets.dataset import DatasetSpec, register
from trainstack.core.workspace.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
record = register(workspace, DatasetSpec.model_validate(json.loads(sys.argv[2])))
print(record.version)
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No proxy, nobody's ~/.netrc or cache, and no long pauses between tries."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)


@pytest.fixture
def server():
    with file_server() as running:
        running.add("images.gz", IMAGES)
        running.add("labels.gz", LABELS)
        yield running


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "a.csv").write_text("a")
    (root / "deep" / "b.csv").write_text("b")
    return root


@pytest.fixture
def spec(server):
    return DatasetSpec(name="mnist", urls=(server.url("images.gz"), server.url("labels.gz")))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Specs


def test_urls_may_be_a_list_of_mirrors_or_a_mapping():
    spec = DatasetSpec.model_validate({"name": "x", "urls": ["http://a/1", ["http://a/2", "http://b/2"]]})
    assert spec.remote == {"1": ("http://a/1",), "2": ("http://a/2", "http://b/2")}
    assert DatasetSpec.model_validate_json(spec.model_dump_json()) == spec
    named = DatasetSpec.model_validate({"name": "x", "urls": {"one": "http://a/1", "two": ["http://a/2"]}})
    assert named.remote == {"one": ("http://a/1",), "two": ("http://a/2",)}
    assert DatasetSpec.model_validate_json(named.model_dump_json()) == named


@pytest.mark.parametrize("urls", ["http://a/1", 7, [7], [["http://a/1", 7]], {"x": 7}])
def test_urls_of_a_wrong_type_are_one_clear_line(urls):
    with pytest.raises(ValidationError) as caught:
        DatasetSpec.model_validate({"name": "x", "urls": urls})
    (error,) = caught.value.errors()
    assert error["msg"] == "Value error, give a list with one entry a file, an address or a list of its mirrors"


def test_relative_paths_and_the_home_folder_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = DatasetSpec(name="x", paths=("data/../*.csv", "~/a.csv"))
    assert spec.paths == (f"{tmp_path}/*.csv", f"{tmp_path}/a.csv")


@pytest.mark.parametrize(
    ("wrong", "reason", "field"),
    [
        ({"name": "a b", "urls": ["http://a/1"]}, "dataset name 'a b' is not usable", "name"),
        ({"name": "../x", "urls": ["http://a/1"]}, "is not usable", "name"),
        ({}, "has no source: give urls or paths", "urls"),
        ({"urls": ["ftp://a/1"]}, "start it with http://", "urls"),
        ({"urls": ["http://a/1", "http://b/1"]}, "would both be the file '1'", "urls"),
        ({"paths": ["nowhere"]}, "no file or folder", "paths"),
        ({"urls": ["http://a/1"], "sha256": {"1": "abc"}}, "is not 64 hexadecimal digits", "sha256"),
        ({"urls": ["http://a/1"], "sha256": {"2": "0" * 64}}, "is promised for '2', which is no file", "sha256"),
        ({"urls": ["http://a/1"], "magic": {"1": ""}}, "'' is not 1 to 64 bytes in hexadecimal", "magic"),
        ({"urls": ["http://a/1"], "magic": {"2": "1f8b"}}, "magic is promised for '2', which is no file", "magic"),
    ],
)
def test_what_is_wrong_is_known_before_any_work(wrong, reason, field):
    with pytest.raises(InvalidInputError, match=reason) as caught:
        dataset.validate(DatasetSpec.model_validate({"name": "x", **wrong}))
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


def test_validating_asks_no_server_and_reads_no_file(spec, server, folder, monkeypatch):
    monkeypatch.setattr(digests, "_of_paths", lambda part: pytest.fail(f"read {part}"))
    dataset.validate(spec.model_copy(update={"paths": (str(folder),), "sha256": {"a.csv": "A" * 64}}))
    assert server.requests == []


# Registration


def test_a_dataset_of_web_files_is_registered_as_version_1(workspace, spec, server):
    before = datetime.now(UTC)
    record = register(workspace, spec.model_copy(update={"description": "digits", "tags": {"kind": "image"}}))
    assert (record.name, record.version, record.description, record.tags) == ("mnist", 1, "digits", {"kind": "image"})
    assert [(file.path, file.size, file.sha256) for file in record.files] == [
        ("images.gz", len(IMAGES), sha256(IMAGES)),
        ("labels.gz", len(LABELS), sha256(LABELS)),
    ]
    assert record.files[0].source == server.url("images.gz")
    assert record.files[0].etag == server.files["images.gz"].tag
    assert record.files[0].last_modified == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert before <= datetime.fromisoformat(record.created) <= datetime.now(UTC)
    assert find(workspace, "mnist") == record
    assert record.size == len(IMAGES) + len(LABELS)


def test_the_same_sources_again_ask_nothing_and_make_no_version(workspace, spec, server):
    first = register(workspace, spec)
    server.close()
    server.forget()
    assert register(workspace, spec) == first
    assert dataset.versions(workspace, "mnist") == [1]
    assert server.requests == []


def test_mirrors_that_are_named_now_cost_one_question(workspace, spec, server):
    first = register(workspace, spec)
    server.forget()
    more = spec.model_copy(update={"urls": ((server.url("images.gz"), server.url("mirror.gz")), spec.urls[1])})
    again = register(workspace, more)
    assert (again.version, again.digest) == (1, first.digest)
    assert [request.status for request in server.requests] == [304, 304]


def test_a_file_of_another_dataset_is_not_downloaded_again(workspace, spec, server):
    register(workspace, spec)
    server.forget()
    other = register(workspace, DatasetSpec(name="other", urls={"renamed.gz": server.url("images.gz")}))
    assert [(file.path, file.sha256) for file in other.files] == [("renamed.gz", sha256(IMAGES))]
    assert server.sent == 0


def test_a_promised_digest_that_is_here_asks_no_server(workspace, spec, server):
    register(workspace, spec)
    server.forget()
    elsewhere = DatasetSpec(
        name="other", urls=(server.url("elsewhere/images.gz"),), sha256={"images.gz": sha256(IMAGES).upper()}
    )
    record = register(workspace, elsewhere)
    assert record.files[0].sha256 == sha256(IMAGES)
    assert record.files[0].size == len(IMAGES)
    assert server.requests == []


def test_only_changed_file_is_fetched_for_version_2(workspace, spec, server):
    first = register(workspace, spec)
    changed = os.urandom(60_000)
    server.add("labels.gz", changed, modified=1_700_000_100)
    server.forget()
    second = register(workspace, spec, check_remote=True)
    assert second.version == 2
    assert second.digest != first.digest
    assert server.sent == len(changed)
    assert [request.status for request in server.asked("images.gz")] == [304]
    assert find(workspace, "mnist", 1) == first
    assert find(workspace, "mnist") == second
    server.forget()
    assert register(workspace, spec) == second
    assert server.requests == []


def test_a_source_that_changed_back_has_its_old_version_again(workspace, spec, server):
    first = register(workspace, spec)
    server.add("labels.gz", b"other", modified=1_700_000_100)
    second = register(workspace, spec, check_remote=True)
    server.add("labels.gz", LABELS, modified=1_700_000_200)
    back = register(workspace, spec, check_remote=True)
    assert (second.version, back.version, back.digest) == (2, 1, first.digest)
    server.forget()
    assert register(workspace, spec).version == 1
    assert server.requests == []
    assert dataset.versions(workspace, "mnist") == [1, 2]


def test_checking_unchanged_sources_makes_no_version(workspace, spec, server):
    first = register(workspace, spec)
    server.forget()
    assert register(workspace, spec, check_remote=True).version == first.version
    assert server.sent == 0


def test_new_validators_for_the_same_bytes_are_remembered(workspace, spec, server):
    register(workspace, spec)
    server.files["labels.gz"].etag = "weak"
    server.files["labels.gz"].dated = False
    server.files["images.gz"].modified = 1_700_000_500
    server.files["images.gz"].etag = ""
    again = register(workspace, spec, check_remote=True)
    assert again.version == 1
    assert again.files[0].last_modified == "Tue, 14 Nov 2023 22:21:40 GMT"
    assert find(workspace, "mnist") == again


def test_the_same_content_from_elsewhere_is_the_same_version(workspace, spec, folder):
    first = register(workspace, spec)
    (folder / "images.gz").write_bytes(IMAGES)
    (folder / "labels.gz").write_bytes(LABELS)
    local = DatasetSpec(name="mnist", paths=(str(folder / "*.gz"),), description="from disk")
    second = register(workspace, local)
    assert (second.version, second.digest, second.created) == (1, first.digest, first.created)
    assert (second.description, second.paths, second.urls) == ("from disk", local.paths, {})
    assert find(workspace, "mnist") == second


def test_another_description_or_tag_makes_no_version(workspace, spec, server):
    register(workspace, spec)
    server.forget()
    again = register(workspace, spec.model_copy(update={"description": "new", "tags": {"a": "b"}}))
    assert (again.version, again.description, again.tags) == (1, "new", {"a": "b"})
    assert find(workspace, "mnist") == again
    assert server.requests == []


def test_changed_content_needs_create_new_version(workspace, spec, server):
    first = register(workspace, spec)
    server.add("labels.gz", b"other", modified=1_700_000_100)
    fixed = spec.model_copy(update={"create_new_version": False})
    with pytest.raises(TrainstackError, match=r"no longer its version 1 \(labels\.gz changed\)") as caught:
        register(workspace, fixed, check_remote=True)
    assert "\n" not in str(caught.value)
    assert find(workspace, "mnist") == first
    assert register(workspace, fixed) == first


def test_a_digest_is_over_names_and_content_and_nothing_else(workspace, folder, tmp_path):
    one = register(workspace, DatasetSpec(name="one", paths=(str(folder),), tags={"a": "b"}))
    copied = tmp_path / "elsewhere"
    folder.rename(copied)
    two = register(workspace, DatasetSpec(name="two", paths=(str(copied),)))
    assert one.digest == two.digest == digests.of_tree({"a.csv": sha256(b"a"), "deep/b.csv": sha256(b"b")})


def test_local_and_web_files_make_one_dataset(workspace, spec, folder):
    record = register(workspace, spec.model_copy(update={"paths": (str(folder),)}))
    assert [file.path for file in record.files] == ["a.csv", "deep/b.csv", "images.gz", "labels.gz"]
    assert record.files[1].source == str(folder / "deep" / "b.csv")


def test_a_changed_local_file_becomes_version_2(workspace, folder):
    spec = DatasetSpec(name="local", paths=(str(folder),))
    first = register(workspace, spec)
    assert register(workspace, spec) == first
    (folder / "a.csv").write_text("changed")
    assert register(workspace, spec).version == 2
    (folder / "a.csv").write_text("a")
    assert register(workspace, spec).version == 1


def test_the_local_digest_follows_content_only(folder):
    spec = DatasetSpec(name="local", paths=(str(folder),))
    before = local_digest(spec)
    os.utime(folder / "a.csv", (1, 1))
    assert local_digest(spec) == before
    (folder / "a.csv").write_text("b")
    assert local_digest(spec) != before


def test_unchanged_large_local_files_are_not_read_again(workspace, folder, monkeypatch):
    monkeypatch.setattr(digests, "RACY_NS", 0)
    spec = DatasetSpec(name="local", paths=(str(folder),))
    register(workspace, spec)
    monkeypatch.setattr(digests, "_of_paths", lambda part: pytest.fail(f"read {part}"))
    register(workspace, spec)


def test_local_files_may_go_once_they_are_registered(workspace, folder, tmp_path):
    record = register(workspace, DatasetSpec(name="local", paths=(str(folder / "deep"),)))
    (folder / "deep" / "b.csv").write_text("overwritten in place")
    lend_into(workspace, record, tmp_path / "run")
    assert tree(tmp_path / "run") == {"b.csv": b"b"}


# Promises and failures


def test_web_file_with_wrong_digest_registers_nothing(workspace, spec):
    with pytest.raises(DigestMismatchError, match=r"labels\.gz is not what was promised"):
        register(workspace, spec.model_copy(update={"sha256": {"labels.gz": "0" * 64}}))
    assert list_datasets(workspace) == []


def test_local_file_with_wrong_digest_registers_nothing(workspace, folder):
    with pytest.raises(DigestMismatchError, match=rf"{folder}/a\.csv has SHA-256 {sha256(b'a')}, not the promised"):
        register(workspace, DatasetSpec(name="x", paths=(str(folder),), sha256={"a.csv": "0" * 64}))
    assert list_datasets(workspace) == []


def test_a_later_digest_is_checked_against_the_registered_file(workspace, spec, server):
    register(workspace, spec)
    server.forget()
    kept = spec.model_copy(update={"sha256": {"images.gz": sha256(IMAGES)}})
    assert register(workspace, kept).version == 1
    assert server.requests == []
    with pytest.raises(DigestMismatchError):
        register(workspace, spec.model_copy(update={"sha256": {"images.gz": "0" * 64}}))


def test_a_later_magic_number_is_checked_against_the_registered_file(workspace, spec, server):
    register(workspace, spec)
    server.forget()
    assert register(workspace, spec.model_copy(update={"magic": {"images.gz": IMAGES[:4].hex()}})).version == 1
    assert server.requests == []
    with pytest.raises(DigestMismatchError, match="begins with"):
        register(workspace, spec.model_copy(update={"magic": {"images.gz": "00000000"}}))


def test_silent_address_is_one_line_and_retry_resumes(workspace, spec, server):
    server.files["images.gz"].failures = [404]
    with pytest.raises(TrainstackError, match=r"cannot download images\.gz: .*404 Not Found") as caught:
        register(workspace, spec)
    assert "\n" not in str(caught.value)
    assert list_datasets(workspace) == []
    assert register(workspace, spec).version == 1


def test_one_failure_calls_the_other_downloads_off(workspace, server):
    server.add("slow.gz", os.urandom(5_000_000), seconds_between=0.1)
    server.files["images.gz"].failures = [404]
    started = time.monotonic()
    with pytest.raises(TrainstackError, match=r"images\.gz"):
        register(workspace, DatasetSpec(name="x", urls=(server.url("slow.gz"), server.url("images.gz"))))
    assert time.monotonic() - started < 4  # the slow one alone takes 7.7 s


def test_four_files_are_downloaded_at_once(workspace, server):
    for number in range(8):
        server.add(f"{number}.gz", os.urandom(300_000), seconds_between=0.05)
    register(workspace, DatasetSpec(name="x", urls=tuple(server.url(f"{number}.gz") for number in range(8))))
    assert server.most_at_once == 4


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_lost_file_is_downloaded_again_and_the_version_stays(workspace, spec, server, damage):
    first = register(workspace, spec)
    path = workspace.blobs.path(sha256(LABELS))
    path.chmod(0o644)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"garbage")
    server.forget()
    assert register(workspace, spec) == first
    assert path.read_bytes() == LABELS
    assert [request.path for request in server.requests] == ["labels.gz"]


def test_a_local_file_that_changes_during_registration_is_told(workspace, folder, monkeypatch):
    monkeypatch.setattr(
        dataset_contents, "local_digests", lambda groups: {"a.csv": (str(folder / "a.csv"), sha256(b"before"))}
    )
    with pytest.raises(TrainstackError, match=r"a\.csv changed while it was being registered: run `pulumi up` again"):
        register(workspace, DatasetSpec(name="x", paths=(str(folder),)))


def test_killed_registration_is_finished_by_the_next(workspace, server, tmp_path):
    contents = {f"{number}.gz": os.urandom(200_000) for number in range(6)}
    for name, content in contents.items():
        server.add(name, content, seconds_between=0.01)
    spec = DatasetSpec(name="killed", urls=tuple(map(server.url, contents)))
    for delay in (0.0, 0.05, 0.1, 0.15, 0.2):
        process = start_registrar(workspace, spec)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for record in list_datasets(workspace):
        assert len(record.files) == 6
    record = register(workspace, spec)
    assert record.version == 1
    lend_into(workspace, record, tmp_path / "run")
    assert tree(tmp_path / "run") == contents
    # What a kill between writing a note aside and renaming it leaves is swept a week later.
    assert [path for path in (workspace.root / "blobs" / "partial").iterdir() if path.suffix != ".tmp"] == []


def start_registrar(workspace, spec):
    process = subprocess.Popen(
        [sys.executable, "-c", REGISTRAR, str(workspace.root), spec.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


def test_two_processes_registering_the_same_download_it_once(workspace, spec, server):
    for served in server.files.values():
        served.seconds_between = 0.02
    processes = [start_registrar(workspace, spec) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["1\n", "1\n"]
    assert dataset.versions(workspace, "mnist") == [1]
    assert server.sent == len(IMAGES) + len(LABELS)


def test_parallel_registrations_get_their_own_versions(workspace, tmp_path):
    specs = []
    for number in range(8):
        path = tmp_path / str(number) / "data.csv"
        path.parent.mkdir()
        path.write_text(str(number))
        specs.append(DatasetSpec(name="busy", paths=(str(path),)))
    records = []
    threads = [threading.Thread(target=lambda spec=spec: records.append(register(workspace, spec))) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record.version for record in records) == list(range(1, 9))
    assert len({record.digest for record in records}) == 8
    assert all(find(workspace, "busy", record.version) == record for record in records)


def test_waiting_for_another_registration_is_told(workspace, spec):
    lines = []
    with locks.exclusive(workspace.dataset("mnist") / ".lock"):
        thread = threading.Thread(target=lambda: register(workspace, spec, lines.append))
        thread.start()
        while not lines:
            time.sleep(0.01)
    thread.join()
    assert lines[0] == "waiting for another registration of mnist"


# Progress


def test_progress_names_the_file_and_counts_bytes_and_files():
    lines = []
    progress = RegistrationProgress(lines.append, 4)
    progress.at("train.gz", 4_100_000, 9_912_422)
    progress.at("train.gz", 4_200_000, 9_912_422)
    assert lines == ["train.gz 4.1/9.9 MB · 0 of 4 files"]
    for name in ("a", "b", "c", "train.gz"):
        progress.finish(name)
    assert lines[1:] == ["4 of 4 files"]


@pytest.mark.parametrize(
    ("done", "size", "text"),
    [
        (5, 9, "5/9 bytes"),
        (5, None, "5 bytes"),
        (1500, 20_000, "1.5/20.0 kB"),
        (1_500_000, None, "1.5 MB"),
        (1_500_000, 3_000_000_000, "0.0/3.0 GB"),
    ],
)
def test_amounts_are_in_the_unit_that_suits(done, size, text):
    assert format_bytes(done, size) == text


def test_progress_is_told_at_most_four_times_a_second(workspace, server):
    server.add("slow.gz", os.urandom(2_000_000), seconds_between=0.03)
    lines = []
    started = time.monotonic()
    register(workspace, DatasetSpec(name="x", urls=(server.url("slow.gz"),)), lines.append)
    seconds = time.monotonic() - started
    assert 2 <= len(lines) <= seconds * 4 + 2
    assert lines[-1] == "1 of 1 file"
    assert all(line.startswith("slow.gz ") and line.endswith(" MB · 0 of 1 file") for line in lines[:-1])


# Finding and handing out


def test_what_is_not_there_says_what_is(workspace, spec):
    with pytest.raises(NotFoundError, match="no dataset 'mnist' in workspace test: it has none yet"):
        find(workspace, "mnist")
    register(workspace, spec)
    with pytest.raises(NotFoundError, match="no dataset 'cifar' in workspace test: it has mnist"):
        find(workspace, "cifar")
    with pytest.raises(NotFoundError, match="dataset 'mnist' has no version 3: it has 1"):
        find(workspace, "mnist", 3)
    with pytest.raises(InvalidInputError, match="not usable"):
        find(workspace, "../mnist")


def test_all_versions_are_listed_in_order(workspace, folder):
    for text in ("1", "2"):
        (folder / "a.csv").write_text(text)
        register(workspace, DatasetSpec(name="local", paths=(str(folder),)))
    register(workspace, DatasetSpec(name="Another", paths=(str(folder / "deep"),)))
    listed = [(record.name, record.version) for record in list_datasets(workspace)]
    assert listed == [("Another", 1), ("local", 1), ("local", 2)]


def test_a_damaged_record_is_one_line_and_hides_no_other(workspace, spec, folder):
    register(workspace, spec)
    register(workspace, DatasetSpec(name="local", paths=(str(folder),)))
    path = workspace.dataset("mnist") / "1.json"
    for damage in ("{half", json.dumps({"name": "mnist"})):
        path.write_text(damage)
        with pytest.raises(TrainstackError, match=r"1\.json is damaged") as caught:
            find(workspace, "mnist")
        assert "\n" not in str(caught.value)
        assert [record.name for record in list_datasets(workspace)] == ["local"]


@pytest.mark.parametrize("copied_bytes", [0, 2**20], ids=["large", "small"])
def test_a_run_gets_read_only_files_of_the_one_copy(workspace, spec, folder, tmp_path, monkeypatch, copied_bytes):
    monkeypatch.setattr(blobs, "_COPIED_BYTES", copied_bytes)
    record = register(workspace, spec.model_copy(update={"paths": (str(folder),)}))
    for run in ("one", "two", "one"):
        lend_into(workspace, record, tmp_path / run)
    assert tree(tmp_path / "one") == {"a.csv": b"a", "deep/b.csv": b"b", "images.gz": IMAGES, "labels.gz": LABELS}
    stats = [(tmp_path / run / "images.gz").stat() for run in ("one", "two")]
    blob = workspace.blobs.path(sha256(IMAGES)).stat()
    # A file system with clones gives every run one, whatever its size.
    clones = clone(workspace.blobs.path(sha256(IMAGES)), tmp_path / "clone")
    assert len({stat.st_ino for stat in [*stats, blob]}) == (3 if copied_bytes or clones else 1)
    assert all(stat.st_mode & 0o222 == 0 for stat in stats)
    assert {stat.st_mtime_ns for stat in stats} == {blob.st_mtime_ns}


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_lost_file_is_told_before_a_run_gets_it(workspace, spec, tmp_path, damage):
    record = register(workspace, spec)
    path = workspace.blobs.path(sha256(LABELS))
    path.chmod(0o644)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"garbage")
    with pytest.raises(NotFoundError, match=rf"labels\.gz of dataset 'mnist', version 1, is {damage}: run `pulumi"):
        lend_into(workspace, record, tmp_path / "run")


def test_paths_are_those_inside_the_dataset(workspace, folder):
    assert to_path(workspace, register(workspace, DatasetSpec(name="x", paths=(str(folder),)))) == [
        "/a.csv",
        "/deep/b.csv",
    ]
