"""One file from its mirrors, over real connections that break, stall, refuse and come back."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
from tests.core.file_server import file_server

from trainstack.core.datasets import download
from trainstack.core.datasets.answer_check import UnavailableError
from trainstack.core.datasets.download import StoppedError, fetch
from trainstack.core.datasets.partial_file import PartialFile
from trainstack.core.datasets.promise import Promise
from trainstack.core.datasets.remote_file import RemoteFile, find_change, open_client
from trainstack.errors import DigestMismatchError, TrainstackError
from trainstack.storage.blobs import BlobStore

CONTENT = os.urandom(1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = os.urandom(1_000_000)

DOWNLOADER = """
import sys
from pathlib import Path
from trainstack.core.datasets.download import fetch
from trainstack.core.datasets.remote_file import open_client
from trainstack.storage.blobs import BlobStore
print("ready", flush=True)
with open_client() as client:
    fetch(client, "a.bin", [sys.argv[2]], BlobStore(Path(sys.argv[1])))
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No proxy, nobody's ~/.netrc, and no long pauses between tries."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)


@pytest.fixture
def server():
    with file_server() as running:
        yield running


@pytest.fixture
def blobs(tmp_path):
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def client():
    with open_client() as opened:
        yield opened


@pytest.fixture
def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, where the kernel lets us mount one."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def unfinished(blobs):
    return sorted(path.name for path in (blobs.root / "partial").iterdir())


def bytes_kept(blobs):
    return max(path.stat().st_size for path in (blobs.root / "partial").glob("*.part"))


def test_a_file_comes_whole_with_its_digest_and_validators(server, blobs, client):
    url = server.add("a.bin", CONTENT)
    found = fetch(client, "a.bin", [url], blobs)
    assert found == RemoteFile(url, len(CONTENT), DIGEST, server.files["a.bin"].tag, "Tue, 14 Nov 2023 22:13:20 GMT")
    assert blobs.path(DIGEST).read_bytes() == CONTENT
    assert unfinished(blobs) == []
    assert len(server.requests) == 1


def test_an_empty_file_is_a_file(server, blobs, client):
    found = fetch(client, "empty", [server.add("empty", b"")], blobs)
    assert (found.size, found.sha256) == (0, hashlib.sha256(b"").hexdigest())
    assert blobs.has(found.sha256)


def test_a_server_that_does_not_say_the_size_is_believed(server, blobs, client):
    seen = []
    url = server.add("a.bin", CONTENT, sized=False)
    found = fetch(client, "a.bin", [url], blobs, report=lambda done, size: seen.append((done, size)))
    assert found.sha256 == DIGEST
    assert seen[-1] == (len(CONTENT), None)


def test_progress_counts_up_to_the_size(server, blobs, client):
    seen = []
    url = server.add("a.bin", CONTENT)
    fetch(client, "a.bin", [url], blobs, report=lambda done, size: seen.append((done, size)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_redirect_is_followed(server, blobs, client):
    server.add("here.bin", CONTENT)
    url = server.add("a.bin", b"", redirect=server.url("here.bin"))
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST


def test_a_circle_of_redirects_is_told(server, blobs, client):
    url = server.add("a.bin", b"", redirect=server.url("a.bin"))
    with pytest.raises(TrainstackError, match="redirected in circles"):
        fetch(client, "a.bin", [url], blobs)


def test_a_redirect_to_another_protocol_is_refused(server, blobs, client):
    url = server.add("a.bin", b"", redirect="ftp://127.0.0.1/a.bin")
    with pytest.raises(TrainstackError, match=r"cannot download a\.bin: .*ftp://"):
        fetch(client, "a.bin", [url], blobs)


@pytest.mark.parametrize(
    ("etag", "dated", "validator"), [("strong", True, "etag"), ("strong", False, "etag"), ("weak", True, "date")]
)
def test_a_broken_connection_is_resumed_where_it_broke(server, blobs, client, etag, dated, validator):
    url = server.add("a.bin", CONTENT, etag=etag, dated=dated, break_after=[300_000, 300_000])
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    first, second, third = server.requests
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=299999-"
    assert third.headers["range"] == "bytes=599998-"
    expected = server.files["a.bin"].tag if validator == "etag" else "Tue, 14 Nov 2023 22:13:20 GMT"
    assert second.headers["if-range"] == expected
    assert server.sent == len(CONTENT) + 2
    assert unfinished(blobs) == []


@pytest.mark.parametrize("how", [{"etag": "", "dated": False}, {"etag": "weak", "dated": False}, {"ranges": False}])
def test_what_cannot_be_resumed_safely_starts_again(server, blobs, client, how):
    url = server.add("a.bin", CONTENT, break_after=[300_000], **how)
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    assert [request.status for request in server.requests] == [200, 200]


def test_resumed_download_of_changed_file_starts_again(server, blobs, client):
    url = server.add("a.bin", CONTENT, break_after=[100_000] * download.TRIES)
    with pytest.raises(TrainstackError, match="the connection broke"):
        fetch(client, "a.bin", [url], blobs)
    server.add("a.bin", OTHER, modified=1_700_000_100)
    assert fetch(client, "a.bin", [url], blobs).sha256 == hashlib.sha256(OTHER).hexdigest()
    assert server.requests[-1].status == 200


def test_the_next_call_resumes_what_a_killed_process_left(server, blobs, client):
    url = server.add("a.bin", CONTENT, seconds_between=0.02)
    process = subprocess.Popen([sys.executable, "-c", DOWNLOADER, str(blobs.root), url], stdout=subprocess.PIPE)
    while not list(blobs.root.glob("partial/*.part")) or bytes_kept(blobs) < 200_000:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = bytes_kept(blobs)
    assert 200_000 <= kept < len(CONTENT)
    server.forget()
    server.files["a.bin"].seconds_between = 0
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    (request,) = server.requests
    assert request.headers["range"] == f"bytes={kept - 1}-"
    assert request.sent == len(CONTENT) - kept + 1
    assert unfinished(blobs) == []


def test_a_whole_file_that_was_not_yet_stored_costs_one_byte(server, blobs, client):
    url = server.add("a.bin", CONTENT)
    with PartialFile(blobs, url) as partial:
        partial.restart(server.files["a.bin"].tag, None)
        partial.write(CONTENT)
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    assert server.sent == 1


def test_kept_bytes_beyond_the_end_of_the_file_are_dropped(server, blobs, client):
    url = server.add("a.bin", CONTENT)
    with PartialFile(blobs, url) as partial:
        partial.restart(server.files["a.bin"].tag, None)
        partial.write(CONTENT + b"too much")
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    assert [request.status for request in server.requests] == [416, 200]


def test_wrong_partial_bytes_are_fetched_again(server, blobs, client):
    url = server.add("a.bin", CONTENT)
    with PartialFile(blobs, url) as partial:
        partial.restart(server.files["a.bin"].tag, None)
        partial.write(bytes(300_000))
    assert fetch(client, "a.bin", [url], blobs, promise=Promise(DIGEST)).sha256 == DIGEST
    assert [request.status for request in server.requests] == [206, 200]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server, blobs, client, status):
    url = server.add("a.bin", CONTENT, failures=[status, status, status])
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    assert len(server.requests) == 4


def test_four_tries_and_no_more(server, blobs, client):
    url = server.add("a.bin", CONTENT, failures=[503] * 10)
    with pytest.raises(TrainstackError) as caught:
        fetch(client, "a.bin", [url], blobs)
    assert str(caught.value) == (
        f"cannot download a.bin: {url}: 503 Service Unavailable; check the address and the network, "
        "or name another mirror"
    )
    assert len(server.requests) == 4


def test_pauses_double_and_are_no_shorter_than_the_server_asks(server, blobs, client, monkeypatch):
    pauses = []
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: pauses.append(timeout))
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.5)
    url = server.add("a.bin", CONTENT, failures=[503, 503, 503])
    fetch(client, "a.bin", [url], blobs)
    assert [pause for pause in pauses if pause in (0.5, 1.0, 2.0)] == [0.5, 1.0, 2.0]
    pauses.clear()
    url = server.add("b.bin", CONTENT, failures=[429], retry_after="7")
    fetch(client, "b.bin", [url], blobs)
    assert 7.0 in pauses


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_told_at_once(server, blobs, client, status):
    url = server.add("a.bin", CONTENT, failures=[status])
    with pytest.raises(TrainstackError, match=rf"cannot download a\.bin: {url}: {status} ") as caught:
        fetch(client, "a.bin", [url], blobs)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 1


def test_mirrors_are_tried_in_order(server, blobs, client, closed_port):
    server.add("second.bin", CONTENT)
    server.add("third.bin", CONTENT)
    urls = [f"http://127.0.0.1:{closed_port}/a.bin", server.url("none.bin"), server.url("second.bin")]
    found = fetch(client, "a.bin", [*urls, server.url("third.bin")], blobs)
    assert found.url == server.url("second.bin")
    assert [request.path for request in server.requests] == ["none.bin", "second.bin"]


def test_when_no_mirror_answers_each_is_named_with_its_reason(server, blobs, client, closed_port):
    refused = f"http://127.0.0.1:{closed_port}/a.bin"
    unknown = "http://no-such-host.invalid/a.bin"
    missing = server.url("a.bin") + "?token=secret"
    with pytest.raises(TrainstackError) as caught:
        fetch(client, "a.bin", [refused, unknown, missing], blobs)
    message = str(caught.value)
    assert f"{refused}: connection refused" in message
    assert f"{unknown}: host name not found" in message
    assert f"{server.url('a.bin')}?…: 404 Not Found" in message
    assert "secret" not in message
    assert "\n" not in message


def test_a_stalled_connection_counts_as_broken(server, blobs):
    url = server.add("a.bin", CONTENT, seconds_between=5)
    with open_client(stall=0.1) as client, pytest.raises(TrainstackError, match="no more bytes in time"):
        fetch(client, "a.bin", [url], blobs)
    assert len(server.requests) <= 4
    assert bytes_kept(blobs) >= 65536


def test_bytes_that_were_not_promised_are_refused_and_not_kept(server, blobs, client):
    url = server.add("a.bin", OTHER)
    with pytest.raises(DigestMismatchError, match=f"is not what was promised: [^;]* promised {DIGEST}") as caught:
        fetch(client, "a.bin", [url], blobs, promise=Promise(DIGEST))
    assert "\n" not in str(caught.value)
    assert list(blobs) == []
    assert bytes_kept(blobs) == 0
    assert len(server.requests) == 1


def test_a_mirror_with_other_bytes_is_passed_over(server, blobs, client):
    wrong, right = server.add("wrong.bin", OTHER), server.add("right.bin", CONTENT)
    assert fetch(client, "a.bin", [wrong, right], blobs, promise=Promise(DIGEST)).url == right


def test_a_file_with_another_magic_number_is_refused(server, blobs, client, tmp_path):
    wrong, right = server.add("wrong.gz", b"Bandwidth exceeded"), server.add("right.gz", b"\x1f\x8b\x08")
    gzip = Promise(magic=b"\x1f\x8b")
    with pytest.raises(DigestMismatchError, match=r"wrong\.gz: begins with 42 61, not with 1f 8b; correct"):
        fetch(client, "a.gz", [wrong], blobs, promise=gzip)
    assert (list(blobs), bytes_kept(blobs)) == ([], 0)
    (tmp_path / "short.gz").write_bytes(b"\x1f")
    short = (tmp_path / "short.gz").as_uri()
    assert fetch(client, "a.gz", [wrong, short, right], blobs, promise=gzip).url == right


@pytest.mark.parametrize("how", [{}, {"dated": False}, {"etag": ""}, {"etag": "weak"}])
def test_a_known_file_that_did_not_change_is_not_sent(server, blobs, client, how):
    url = server.add("a.bin", CONTENT, **how)
    known = fetch(client, "a.bin", [url], blobs)
    server.forget()
    assert fetch(client, "a.bin", [url], blobs, earlier=known) == known
    assert [(request.status, request.sent) for request in server.requests] == [(304, 0)]


def test_a_known_file_that_changed_is_downloaded(server, blobs, client):
    url = server.add("a.bin", CONTENT)
    known = fetch(client, "a.bin", [url], blobs)
    server.add("a.bin", OTHER, modified=1_700_000_100)
    assert fetch(client, "a.bin", [url], blobs, earlier=known).sha256 == hashlib.sha256(OTHER).hexdigest()


def test_the_mirror_that_gave_a_file_is_asked_first(server, blobs, client):
    second = server.add("second.bin", CONTENT)
    urls = [server.url("first.bin"), second]
    known = fetch(client, "a.bin", urls, blobs)
    server.forget()
    assert fetch(client, "a.bin", urls, blobs, earlier=known) == known
    assert [request.path for request in server.requests] == ["second.bin"]


def test_a_known_file_is_no_answer_to_another_promise(server, blobs, client):
    url = server.add("a.bin", CONTENT)
    known = fetch(client, "a.bin", [url], blobs)
    with pytest.raises(DigestMismatchError):
        fetch(client, "a.bin", [url], blobs, earlier=known, promise=Promise("0" * 64))


def test_a_stopped_download_keeps_what_it_has(server, blobs, client):
    stopped = threading.Event()
    url = server.add("a.bin", CONTENT, seconds_between=0.01)
    with pytest.raises(StoppedError):
        fetch(
            client,
            "a.bin",
            [url],
            blobs,
            stopped=stopped,
            report=lambda done, _: stopped.set() if done > 300_000 else None,
        )
    kept = bytes_kept(blobs)
    assert kept > 300_000
    server.forget()
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    assert server.sent == len(CONTENT) - kept + 1


def test_a_pause_between_tries_can_be_stopped(server, blobs, client, monkeypatch):
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 30.0)
    stopped = threading.Event()
    url = server.add("a.bin", CONTENT, failures=[503] * 4)
    threading.Timer(0.1, stopped.set).start()
    started = time.monotonic()
    with pytest.raises(StoppedError):
        fetch(client, "a.bin", [url], blobs, stopped=stopped)
    assert time.monotonic() - started < 5


def test_parallel_downloads_of_one_address_are_independent(server, blobs, client):
    url = server.add("a.bin", CONTENT, seconds_between=0.01)
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(client, "a.bin", [url], blobs))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [it.sha256 for it in found] == [DIGEST] * 3
    assert blobs.verify(DIGEST)
    assert unfinished(blobs) == []


def test_a_login_comes_from_netrc(server, blobs, tmp_path):
    url = server.add("a.bin", CONTENT, user="Basic YW5uOnNlY3JldA==")
    with open_client() as client, pytest.raises(TrainstackError, match="401 Unauthorized"):
        fetch(client, "a.bin", [url], blobs)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    with open_client() as client:
        assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST


def test_a_damaged_netrc_is_one_line(tmp_path):
    (tmp_path / ".netrc").write_text("what is this\n")
    with pytest.raises(TrainstackError, match=r"~/\.netrc cannot be read"):
        open_client()


def test_a_file_address_is_copied_and_known_by_its_time(tmp_path, blobs, client):
    path = tmp_path / "with space.bin"
    path.write_bytes(CONTENT)
    url = f"file://{tmp_path}/with%20space.bin"
    found = fetch(client, "a.bin", [url], blobs)
    assert (found.url, found.size, found.sha256) == (url, len(CONTENT), DIGEST)
    assert fetch(client, "a.bin", [url], blobs, earlier=found) is found
    path.write_bytes(OTHER)
    assert fetch(client, "a.bin", [url], blobs, earlier=found).sha256 == hashlib.sha256(OTHER).hexdigest()


def test_a_missing_file_address_gives_way_to_the_next_mirror(tmp_path, server, blobs, client):
    url = server.add("a.bin", CONTENT)
    assert fetch(client, "a.bin", [f"file://{tmp_path}/none", url], blobs).url == url
    with pytest.raises(TrainstackError, match="No such file"):
        fetch(client, "a.bin", [f"file://{tmp_path}/none"], blobs)


def test_full_disk_is_one_line_and_download_resumes(server, client, small_disk):
    blobs = BlobStore(small_disk / "blobs")
    filler = small_disk / "filler"
    url = server.add("a.bin", CONTENT)

    def fill(_done, _size):
        if not filler.exists():
            filler.write_bytes(bytes(400_000))

    with pytest.raises(TrainstackError, match=r"disk full while writing .*free some space") as caught:
        fetch(client, "a.bin", [url], blobs, report=fill)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 1
    filler.unlink()
    kept = bytes_kept(blobs)
    assert kept > 0
    server.forget()
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST
    assert server.sent == len(CONTENT) - kept + 1


def test_file_larger_than_disk_is_refused_at_once(server, client, small_disk):
    blobs = BlobStore(small_disk / "blobs")
    (small_disk / "filler").write_bytes(bytes(600_000))
    url = server.add("a.bin", CONTENT)
    with pytest.raises(
        TrainstackError, match=r"disk full: .*a\.bin needs 1,000,000 bytes, .* has \d+,\d+: free"
    ) as caught:
        fetch(client, "a.bin", [url, url], blobs)
    assert "\n" not in str(caught.value)
    assert (bytes_kept(blobs), len(server.requests)) == (0, 1)
    (small_disk / "filler").unlink()
    assert fetch(client, "a.bin", [url], blobs).sha256 == DIGEST


def test_of_a_resumed_download_only_what_is_to_come_must_fit(server, client, small_disk):
    blobs = BlobStore(small_disk / "blobs")
    url = server.add("a.bin", CONTENT, break_after=[700_000, 10, 10, 10])
    with pytest.raises(TrainstackError, match="the connection broke"):
        fetch(client, "a.bin", [url], blobs)
    assert bytes_kept(blobs) > 600_000
    assert fetch(client, "a.bin", [server.add("a.bin", CONTENT)], blobs).sha256 == DIGEST


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("how", [{}, {"dated": False}, {"etag": ""}, {"etag": "weak"}, {"etag": "", "dated": False}])
def test_an_unchanged_file_is_seen_without_downloading(server, blobs, client, how, head):
    known = fetch(client, "a.bin", [server.add("a.bin", CONTENT, **how)], blobs)
    server.forget()
    server.files["a.bin"].head = head
    assert find_change(client, known) is None
    if head:
        assert server.sent == 0


@pytest.mark.parametrize(
    ("how", "reason"), [({}, "its ETag was"), ({"etag": ""}, "its Last-Modified was"), ({"etag": "weak"}, "its ETag")]
)
def test_a_changed_file_is_seen_and_what_changed_is_told(server, blobs, client, how, reason):
    known = fetch(client, "a.bin", [server.add("a.bin", CONTENT, **how)], blobs)
    server.add("a.bin", OTHER, modified=1_700_000_100, **how)
    assert reason in (find_change(client, known) or "")


def test_without_validators_another_size_is_all_that_shows(server, blobs, client):
    how = {"etag": "", "dated": False}
    known = fetch(client, "a.bin", [server.add("a.bin", CONTENT, **how)], blobs)
    server.add("a.bin", OTHER, **how)
    assert find_change(client, known) is None
    server.add("a.bin", OTHER + b"x", **how)
    assert find_change(client, known) == "its size was 1,000,000 bytes, is 1,000,001"


def test_a_source_that_does_not_answer_did_not_change(server, blobs, client, closed_port):
    known = fetch(client, "a.bin", [server.add("a.bin", CONTENT)], blobs)
    server.files.clear()
    with pytest.raises(UnavailableError, match="404 Not Found"):
        find_change(client, known)
    with pytest.raises(UnavailableError, match="connection refused"):
        find_change(client, RemoteFile(f"http://127.0.0.1:{closed_port}/a.bin", 1, DIGEST))


@pytest.fixture
def untrusted_server(tmp_path):
    """A TLS server whose certificate nobody vouches for; gives its address and the connections so far."""
    if shutil.which("openssl") is None:
        pytest.skip("making a certificate takes openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connections.append(connection)
                    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/a.bin", connections
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_an_untrusted_certificate_is_told_at_once(untrusted_server, blobs, client):
    url, connections = untrusted_server
    with pytest.raises(TrainstackError, match=r"certificate not trusted \(self.signed certificate\)"):
        fetch(client, "a.bin", [url], blobs)
    assert len(connections) == 1
