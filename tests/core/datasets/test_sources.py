"""Which files a dataset's addresses and local paths stand for, and what they are called in it."""

import os
import socket

import pytest

from trainstack.core.datasets.local_files import LocalFiles, local_files
from trainstack.core.datasets.sources import check_unique_names, name_urls, redacted_url
from trainstack.errors import InvalidInputError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    for name in ("a.csv", "b.txt", ".hidden", "deep/c.csv", "deep/er/d.csv", "with space/e.csv"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "empty folder").mkdir()
    return root


def names(*paths):
    return [name for group in local_files(map(str, paths)) for name in group.names]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/train.gz", "train.gz"),
        ("https://host/train.gz?version=2#part", "train.gz"),
        ("http://host:8080/train%20images.gz", "train images.gz"),
        ("https://host/%E6%97%A5%E6%9C%AC.csv", "日本.csv"),
    ],
)
def test_a_file_is_named_by_the_end_of_its_address(url, name):
    assert name_urls([url]) == {name: (url,)}


def test_a_file_is_named_by_its_first_mirror():
    mirrors = ("https://one/train.gz", "https://two/other")
    assert name_urls([mirrors]) == {"train.gz": mirrors}


def test_a_mapping_names_the_files_itself():
    urls = {"train/x.gz": "https://host/download?id=1", "test/x.gz": ["https://one/x", "https://two/x"]}
    assert name_urls(urls) == {
        "train/x.gz": ("https://host/download?id=1",),
        "test/x.gz": ("https://one/x", "https://two/x"),
    }


def test_two_addresses_with_one_name_say_how_to_name_them():
    with pytest.raises(InvalidInputError, match=r"would both be the file 'x\.gz': name them, urls=\{") as caught:
        name_urls(["https://one/x.gz", "https://two/x.gz"])
    assert caught.value.field == "urls"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://host/a.gz", "start it with http://"),
        ("s3://bucket/a.gz", "start it with http://"),
        ("data/a.gz", "give a local file in paths"),
        ("", "start it with http://"),
        ("http:///a.gz", "names no host"),
        ("http://host:port/a.gz", "is not a web address"),
        ("http://[::1/a.gz", "is not a web address"),
        ("http://host/a b.gz", "holds a space"),
        ("http://host/a\nb.gz", "holds a space or control character"),
        ("http://host/", "no file name can be taken"),
        ("http://host", "no file name can be taken"),
        ("http://host/a/..", "plain relative path"),
        ("http://host/%2e%2e", "plain relative path"),
        ("http://host/%2Fetc%2Fpasswd", "plain relative path"),
        ("http://host/..%2Fa", "plain relative path"),
        ("http://host/a%00b", "characters that a file name cannot hold"),
        ("http://host/" + "a" * 300, "longer than the 255 bytes"),
        ("file://host/a.gz", "must be file:///ABSOLUTE/PATH"),
        ("file:///no/such/file.gz", "no file at file:///no/such/file.gz"),
    ],
)
def test_an_unusable_address_is_one_line(url, reason):
    with pytest.raises(InvalidInputError, match=reason) as caught:
        name_urls([url])
    assert "\n" not in str(caught.value)
    assert caught.value.field == "urls"


@pytest.mark.parametrize("url", ["https://ann:secret@host/a.gz", "https://:secret@host/a.gz"])
def test_a_password_in_an_address_is_refused_and_not_repeated(url):
    with pytest.raises(InvalidInputError, match=r"put them into ~/\.netrc") as caught:
        name_urls([url])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["/a", "../a", "a/../b", "a//b", "./a", "a/", "", "a\0b"])
def test_a_given_name_stays_inside_the_dataset(name):
    with pytest.raises(InvalidInputError, match="file name"):
        name_urls({name: "https://host/a"})


def test_an_entry_without_an_address_is_refused():
    with pytest.raises(InvalidInputError, match="has no address"):
        name_urls([[]])


def test_a_token_in_an_address_is_not_shown():
    assert redacted_url("https://host/a.gz?token=secret") == "https://host/a.gz?…"
    assert redacted_url("https://host/a.gz") == "https://host/a.gz"


def test_a_file_keeps_its_name(folder):
    assert local_files([str(folder / "deep" / "c.csv")]) == [LocalFiles(str(folder / "deep"), ("c.csv",))]


def test_a_folder_gives_all_files_below_it_by_their_path_in_it(folder):
    assert names(folder) == [".hidden", "a.csv", "b.txt", "deep/c.csv", "deep/er/d.csv", "with space/e.csv"]
    assert names(f"{folder}/") == names(folder)


def test_sockets_and_pipes_are_no_data(folder):
    expected = names(folder)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket"))
        assert names(folder) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv"]),
        ("**/*.csv", ["a.csv", "deep/c.csv", "deep/er/d.csv", "with space/e.csv"]),
        ("deep/*.csv", ["c.csv"]),
        ("*/*.csv", ["deep/c.csv", "with space/e.csv"]),
        ("[ab].*", ["a.csv", "b.txt"]),
        ("deep/**", ["c.csv", "er/d.csv"]),
        ("?.csv", ["a.csv"]),
    ],
)
def test_glob_names_files_from_its_last_plain_folder(folder, pattern, expected):
    assert names(folder / pattern) == expected


def test_a_name_that_looks_like_a_glob_is_taken_as_it_is(folder):
    (folder / "[x].csv").write_text("x")
    assert names(folder / "[x].csv") == ["[x].csv"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere", "no file or folder"),
        ("*.parquet", "no file matches"),
        ("deep*", "no file matches"),
        ("empty folder", "is a folder without files"),
    ],
)
def test_a_path_without_files_is_one_line(folder, path, reason):
    with pytest.raises(InvalidInputError, match=reason) as caught:
        names(folder / path)
    assert caught.value.field == "paths"
    assert path in str(caught.value)


def test_an_empty_path_is_refused():
    with pytest.raises(InvalidInputError, match="entry of paths is empty"):
        local_files([""])


def test_links_inside_the_folder_are_followed(folder):
    (folder / "link.csv").symlink_to("deep/c.csv")
    (folder / "linked").symlink_to("deep/er")
    assert {"link.csv", "linked/d.csv"} <= set(names(folder))


def test_a_folder_that_is_itself_a_link_is_as_good(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert names(tmp_path / "link") == names(folder)
    assert names(tmp_path / "link" / "*.csv") == ["a.csv"]


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("x")
    return folder


@pytest.mark.parametrize("pattern", ["", "*", "**/*", "**"])
def test_a_link_to_a_file_outside_the_folder_is_refused(folder, outside, pattern):
    (folder / "out").symlink_to(outside / "secret")
    with pytest.raises(InvalidInputError, match=r"out in .* is a link that leaves the folder"):
        names(folder / pattern)


@pytest.mark.parametrize("pattern", ["", "**/*", "*/secret"])
def test_a_link_to_a_folder_outside_the_folder_is_refused(folder, outside, pattern):
    (folder / "out").symlink_to(outside)
    with pytest.raises(InvalidInputError, match="is a link that leaves the folder"):
        names(folder / pattern)


def test_a_linked_folder_that_the_author_writes_out_is_meant(folder, outside):
    (folder / "out").symlink_to(outside)
    assert names(folder / "out" / "*") == ["secret"]


@pytest.mark.parametrize("pattern", ["", "*", "**/*"])
def test_a_link_to_nothing_is_refused(folder, pattern):
    (folder / "broken").symlink_to("nowhere")
    with pytest.raises(InvalidInputError, match="is a link to nothing"):
        names(folder / pattern)


@pytest.mark.parametrize("pattern", ["", "**/*"])
def test_links_in_a_circle_are_refused(folder, pattern):
    (folder / "deep" / "up").symlink_to("..")
    with pytest.raises(InvalidInputError, match="leads back into itself"):
        names(folder / pattern)


@pytest.mark.parametrize("pattern", ["", "**/*"])
def test_links_to_each_other_are_refused(folder, pattern):
    (folder / "deep" / "other").symlink_to("../with space")
    (folder / "with space" / "other").symlink_to("../deep")
    with pytest.raises(InvalidInputError, match="leads back into itself"):
        names(folder / pattern)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_one_line(folder):
    (folder / "deep").chmod(0)
    try:
        with pytest.raises(InvalidInputError, match=r"cannot read .*deep: Permission denied"):
            names(folder)
    finally:
        (folder / "deep").chmod(0o755)


def test_a_name_that_is_not_text_is_refused(folder):
    (folder / os.fsdecode(b"caf\xe9.csv")).write_text("x")
    with pytest.raises(InvalidInputError, match="characters that a file name cannot hold"):
        check_unique_names({}, local_files([str(folder)]))


def test_all_names_together_are_sorted(folder):
    assert check_unique_names({"z.gz": ["https://host/z.gz"]}, local_files([str(folder / "*.csv")])) == [
        "a.csv",
        "z.gz",
    ]


def test_one_file_named_twice_is_one_file(folder):
    assert check_unique_names({}, local_files([str(folder / "*.csv"), str(folder / "a.csv")])) == ["a.csv"]


def test_two_files_of_one_name_are_refused(folder, tmp_path):
    other = tmp_path / "other" / "a.csv"
    other.parent.mkdir()
    other.write_text("other")
    with pytest.raises(InvalidInputError, match=r"would both be the file 'a\.csv'"):
        check_unique_names({}, local_files([str(folder), str(other)]))
    with pytest.raises(InvalidInputError, match=r"would both be the file 'a\.csv'"):
        check_unique_names({"a.csv": ["https://host/a.csv"]}, local_files([str(folder)]))


def test_a_file_cannot_also_be_a_folder():
    with pytest.raises(InvalidInputError, match="is the file https://host/1 and also the folder of https://host/2"):
        check_unique_names({"a": ["https://host/1"], "a/b": ["https://host/2"]}, [])
