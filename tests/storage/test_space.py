import pytest

from trainstack.errors import TrainstackError
from trainstack.storage import disk_space
from trainstack.storage.quota import Quota


def test_bytes_that_fit_pass_even_in_a_missing_folder(tmp_path):
    disk_space.require(tmp_path / "not" / "yet", 1, "a file")


def test_what_does_not_fit_says_what_it_needs_and_what_there_is(small_disk):
    with pytest.raises(
        TrainstackError, match=r"disk full: the model needs 2,000,000 bytes, .*blobs has \d+,\d+,?\d*: free"
    ):
        disk_space.require(small_disk / "blobs", 2_000_000, "the model")


def test_files_that_are_gone_have_no_size(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert disk_space.size_of([tmp_path / "a", tmp_path / "none"]) == 5


def test_a_file_with_two_links_is_freed_with_its_last_one(tmp_path):
    one, two, lone = tmp_path / "one", tmp_path / "two", tmp_path / "lone"
    one.write_bytes(b"123")
    two.hardlink_to(one)
    lone.write_bytes(b"1234567")
    assert disk_space.freed([[one], [lone]]) == [0, 7]
    assert disk_space.freed([[one], [two]]) == [0, 3]
    assert disk_space.freed([disk_space.files_below(tmp_path)]) == [10]


def test_a_quota_counts_links_once_and_what_it_granted(tmp_path):
    (tmp_path / "one").write_bytes(bytes(600))
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    quota = Quota(str(tmp_path), 1000, lambda: disk_space.used(tmp_path), again_after=5)
    quota.require(300, "a file")
    with pytest.raises(
        TrainstackError, match=r"quota: the model needs 200 bytes, .* holds 900 of the 1,000 that quota"
    ):
        quota.require(200, "the model")
    quota.require(100, "a smaller one")
