"""Answers of 200 that are not the file."""

import gzip

import httpx
import pytest
from tests.core.file_server import file_server

from trainstack.core.datasets.answer_check import UnavailableError, check_redirect
from trainstack.core.datasets.download import fetch
from trainstack.core.datasets.remote_file import RemoteFile, find_change, open_client
from trainstack.errors import TrainstackError
from trainstack.storage.blobs import BlobStore

PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html><html><body>Please log in</body></html>"
TABLE = b"a,b\n1,2\n"


@pytest.fixture
def server():
    with file_server() as running:
        yield running


@pytest.fixture
def client():
    with open_client() as opened:
        yield opened


@pytest.fixture
def blobs(tmp_path):
    return BlobStore(tmp_path / "blobs")


@pytest.mark.parametrize("name", ["train.gz", "table.csv", "data.tfrecord"])
def test_a_login_page_is_not_the_file(server, client, blobs, name):
    url = server.add(name, PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(TrainstackError, match="answers with a web page, not the file: it may want a login"):
        fetch(client, name, [url], blobs)
    assert len(server.asked(name)) == 1


def test_a_page_elsewhere_says_where(server, client, blobs):
    portal = server.add("portal", PAGE).replace("127.0.0.1", "localhost")
    url = server.add("train.gz", b"", redirect=portal)
    with pytest.raises(TrainstackError, match=r"not the file \(redirected to localhost\)"):
        fetch(client, "train.gz", [url], blobs)


def test_the_next_mirror_is_tried_after_a_page(server, client, blobs):
    urls = [server.add("one.csv", PAGE), server.add("two.csv", TABLE)]
    assert fetch(client, "table.csv", urls, blobs).url == urls[1]


@pytest.mark.parametrize("name", ["page.html", "articles", "show.php"])
def test_pages_may_be_data(server, client, blobs, name):
    assert fetch(client, name, [server.add(name, PAGE)], blobs).size == len(PAGE)


def test_a_table_called_html_is_a_table(server, client, blobs):
    url = server.add("table.csv", TABLE, headers={"Content-Type": "text/html"})
    assert fetch(client, "table.csv", [url], blobs).size == len(TABLE)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_an_encoding_that_was_not_asked_for_is_refused(server, client, blobs, encoding):
    url = server.add("table.csv", gzip.compress(TABLE), headers={"Content-Encoding": encoding})
    with pytest.raises(TrainstackError, match=f"Content-Encoding: {encoding} though it is asked for as it is"):
        fetch(client, "table.csv", [url], blobs)


def test_a_gz_file_may_be_announced_as_encoded(server, client, blobs):
    content = gzip.compress(TABLE)
    url = server.add("table.csv.gz", content, headers={"Content-Encoding": "x-gzip"})
    fetched = fetch(client, "table.csv.gz", [url], blobs)
    assert blobs.path(fetched.sha256).read_bytes() == content


def test_no_redirect_from_https_to_http():
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.scheme == "https", "http was asked"
        return httpx.Response(302, headers={"Location": "http://plain.example/a.bin"})

    hooks = {"response": [check_redirect]}
    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True, event_hooks=hooks)
    with client, pytest.raises(UnavailableError, match=r"from https to http, to plain\.example"):
        client.get("https://one.example/a.bin")


def test_a_login_page_is_no_drift(server, client):
    url = server.add("table.csv", PAGE, etag="", dated=False, headers={"Content-Type": "text/html"})
    with pytest.raises(UnavailableError, match="web page"):
        find_change(client, RemoteFile(url, len(TABLE), "0" * 64))
