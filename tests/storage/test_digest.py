"""Digests are those of sha256sum, and a file that did not change is not read again."""

import contextlib
import hashlib
import os
import subprocess

import pytest

from trainstack.storage import digest as digests
from trainstack.storage.digest import DigestCache

LONG_AGO = 1_500_000_000_000_000_000


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    for number in range(150):
        path = root / f"part{number % 7}" / f"{number:03}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number * 37))
    (root / "large.bin").write_bytes(os.urandom(3_000_000))
    return root


def names_in(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture
def no_fresh_files(monkeypatch):
    """Take files as settled that were made just now."""
    monkeypatch.setattr(digests, "RACY_NS", 0)


@pytest.fixture
def files_read(monkeypatch):
    """Paths that the cache has digested."""
    read = []
    real = digests._of_paths

    def spy(part):
        read.extend(part)
        return real(part)

    monkeypatch.setattr(digests, "_of_paths", spy)
    return read


def test_digests_are_those_of_sha256sum(tmp_path, folder):
    names = names_in(folder)
    printed = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, text=True, check=True).stdout
    expected = {line[66:]: line[:64] for line in printed.splitlines()}
    assert DigestCache(tmp_path / "cache.json").digests(folder, names) == expected
    assert {name: digests.of_file(folder / name) for name in names} == expected


def test_digests_come_in_the_order_asked_for(tmp_path, folder):
    names = names_in(folder)[::-1]
    assert list(DigestCache(tmp_path / "cache.json").digests(folder, names)) == names


def test_unchanged_files_are_not_read_again(tmp_path, folder, no_fresh_files, files_read):
    names = names_in(folder)
    first = DigestCache(tmp_path / "cache.json").digests(folder, names)
    assert len(files_read) == len(names)
    files_read.clear()
    assert DigestCache(tmp_path / "cache.json").digests(folder, names) == first
    assert files_read == []


def test_only_the_changed_file_is_read_again(tmp_path, folder, no_fresh_files, files_read):
    names = names_in(folder)
    DigestCache(tmp_path / "cache.json").digests(folder, names)
    files_read.clear()
    changed = folder / names[3]
    changed.write_bytes(b"other")
    found = DigestCache(tmp_path / "cache.json").digests(folder, names)
    assert files_read == [str(changed)]
    assert found[names[3]] == hashlib.sha256(b"other").hexdigest()


def test_a_change_of_same_size_with_its_mtime_put_back_is_seen(tmp_path, folder, no_fresh_files):
    path = folder / "large.bin"
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    cache = tmp_path / "cache.json"
    DigestCache(cache).digests(folder, ["large.bin"])
    other = os.urandom(3_000_000)
    path.write_bytes(other)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    assert DigestCache(cache).digests(folder, ["large.bin"]) == {"large.bin": hashlib.sha256(other).hexdigest()}


def test_a_file_changed_a_moment_ago_is_not_remembered(tmp_path, folder, files_read):
    names = names_in(folder)
    DigestCache(tmp_path / "cache.json").digests(folder, names)
    files_read.clear()
    DigestCache(tmp_path / "cache.json").digests(folder, names)
    assert len(files_read) == len(names)


def test_the_same_folder_by_a_relative_path_is_the_same_entry(
    tmp_path, folder, no_fresh_files, files_read, monkeypatch
):
    DigestCache(tmp_path / "cache.json").digests(folder, ["large.bin"])
    files_read.clear()
    monkeypatch.chdir(folder.parent)
    DigestCache(tmp_path / "cache.json").digests(type(folder)(folder.name), ["large.bin"])
    assert files_read == []


def test_files_that_are_gone_are_forgotten(tmp_path, folder, no_fresh_files):
    cache = tmp_path / "cache.json"
    names = names_in(folder)
    DigestCache(cache).digests(folder, names)
    gone = names.pop()
    (folder / gone).unlink()
    (folder / "new").write_bytes(b"new")
    DigestCache(cache).digests(folder, ["new"])
    text = cache.read_text()
    assert f"{folder}/{gone}" not in text
    assert f"{folder}/{names[0]}" in text


@pytest.mark.parametrize("damage", [b"", b"{half", b"\xff\xfe", b"[]"])
def test_a_damaged_cache_is_started_afresh(tmp_path, folder, damage):
    cache = tmp_path / "cache.json"
    cache.write_bytes(damage)
    assert DigestCache(cache).digests(folder, ["large.bin"]) == {"large.bin": digests.of_file(folder / "large.bin")}


def test_a_cache_that_cannot_be_kept_costs_nothing_but_time(folder, small_disk):
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    names = names_in(folder)
    expected = {name: digests.of_file(folder / name) for name in names}
    assert DigestCache(small_disk / "cache.json").digests(folder, names) == expected
    assert DigestCache(small_disk / "filler" / "cache.json").digests(folder, names) == expected


def test_a_missing_file_is_an_error(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        DigestCache(tmp_path / "cache.json").digests(folder, ["nowhere"])


def test_a_tree_is_named_by_paths_and_contents_in_any_order():
    one = digests.of_tree({"a": "1", "b": "2"})
    assert digests.of_tree({"b": "2", "a": "1"}) == one
    assert digests.of_tree({"a": "2", "b": "1"}) != one
    assert digests.of_tree({"a": "1", "c": "2"}) != one


def test_json_is_digested_in_one_canonical_form():
    assert digests.of_json({"b": "ü", "a": [1]}) == digests.of_bytes('{"a":[1],"b":"ü"}'.encode())
