"""What only stores in a bucket do: bad servers and networks, credentials, regions, addresses."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.faulty_proxy import Fault

import trainstack
from trainstack.errors import DigestMismatchError, InvalidInputError, StoreUnreachableError, TrainstackError
from trainstack.storage import digest
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import VersionConflictError, blob_key

SLOW_DOWN = {"status": 503, "code": "SlowDown"}
BROKEN = {"status": 500, "code": "InternalError"}
WHOLE = os.urandom(40 << 20)


@pytest.fixture
def store(bucket_address, proxy):
    """A store behind the proxy, whose conditional writes were looked at already."""
    opened = ObjectStore(bucket_address, patience=20.0)
    opened.create("workspace.json", b"{}")
    return opened


@pytest.fixture
def impatient(bucket_address, proxy):
    return ObjectStore(bucket_address, patience=0.5)


def one_line(error):
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("s3://trainstack/tests-")
    return str(error.value)


PASSING = pytest.mark.parametrize(
    "fault",
    [SLOW_DOWN, BROKEN, {"status": 409, "code": "ConditionalRequestConflict"}, {"reset": "before"}, {"reset": "after"}],
    ids=["slow-down", "500", "conflict", "reset-before", "answer-lost"],
)


@PASSING
def test_a_create_outlasts_what_passes(store, proxy, fault):
    proxy.first(3, Fault(**fault), "PUT")
    store.create("runs/1/run.json", b"one")
    assert store.get("runs/1/run.json").data == b"one"
    with pytest.raises(FileExistsError):
        store.create("runs/1/run.json", b"two")


@PASSING
def test_a_replace_outlasts_what_passes(store, proxy, fault):
    version = store.create("runs/1/run.json", b"one")
    proxy.first(3, Fault(**fault), "PUT")
    renewed = store.replace("runs/1/run.json", b"two", version)
    assert (store.get("runs/1/run.json").data, store.get("runs/1/run.json").version) == (b"two", renewed)


def test_a_lost_answer_is_not_another_writer(store, proxy):
    proxy.first(1, Fault(reset="after"), "PUT")
    assert store.create("datasets/mnist/1.json", b"mine") == store.get("datasets/mnist/1.json").version


def test_another_writer_after_a_failure_wins(store, proxy):
    store.create("datasets/mnist/1.json", b"theirs")
    proxy.first(1, Fault(**BROKEN), "PUT")
    with pytest.raises(FileExistsError):
        store.create("datasets/mnist/1.json", b"mine")
    version = store.get("datasets/mnist/1.json").version
    store.replace("datasets/mnist/1.json", b"theirs again", version)
    proxy.first(1, Fault(**BROKEN), "PUT")
    with pytest.raises(VersionConflictError):
        store.replace("datasets/mnist/1.json", b"mine", version)
    assert store.get("datasets/mnist/1.json").data == b"theirs again"


@pytest.mark.parametrize("fault", [SLOW_DOWN, BROKEN, {"reset": "before"}, {"reset": "body"}])
def test_reads_outlast_what_passes(store, proxy, fault, tmp_path):
    data = b"x" * 100_000
    (tmp_path / "file").write_bytes(data)
    store.upload(tmp_path / "file", "runs/1/logs/run.txt")
    proxy.first(3, Fault(**fault), "GET")
    assert store.get("runs/1/logs/run.txt").data == data
    proxy.first(3, Fault(**fault), "GET")
    store.download("runs/1/logs/run.txt", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    proxy.first(3, Fault(**fault), "GET")
    assert [item.key for item in store.list("runs")] == ["runs/1/logs/run.txt"]


def test_large_content_outlasts_what_passes(store, proxy, tmp_path):
    (tmp_path / "file").write_bytes(WHOLE)
    key = blob_key(digest.of_bytes(WHOLE))
    counts = {"PUT": 0, "GET": 0}

    def every_third(request):
        counts[request.method] = counts.get(request.method, 0) + 1
        kinds = [Fault(**SLOW_DOWN), Fault(reset="before"), Fault(reset="body" if request.method == "GET" else "after")]
        return kinds[counts[request.method] // 3 % 3] if counts[request.method] % 3 == 1 else None

    proxy.fault = every_third
    store.upload(tmp_path / "file", key)
    store.download(key, tmp_path / "copy")
    assert digest.of_file(tmp_path / "copy") == digest.of_bytes(WHOLE)
    assert counts["PUT"] >= 6


def test_a_listing_goes_on_where_it_was_cut(store, proxy):
    for number in range(1_003):
        store.create(f"runs/{number:04}", b"")
    pages = []

    def second_page_fails(request):
        pages.append(request.path)
        return Fault(reset="body") if len(pages) in (2, 3) else None

    proxy.fault = second_page_fails
    assert [item.key for item in store.list("runs")] == [f"runs/{number:04}" for number in range(1_003)]
    assert len(pages) == 4


def test_content_that_arrives_changed_is_refused(store, proxy, tmp_path):
    (tmp_path / "file").write_bytes(b"whole")
    key = blob_key(digest.of_bytes(b"whole"))
    store.upload(tmp_path / "file", key)
    for body in (b"hole", b"wholy", b""):
        proxy.always(Fault(body=body), "GET")
        with pytest.raises(DigestMismatchError):
            store.download(key, tmp_path / "copy")
        assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


@pytest.mark.parametrize("fault", [SLOW_DOWN, BROKEN, {"reset": "before"}, {"hang": True}])
def test_a_server_that_stays_bad_is_given_up(impatient, proxy, fault):
    proxy.always(Fault(**fault))
    began = time.monotonic()
    for call in (lambda: impatient.get("a"), lambda: impatient.create("a", b""), lambda: list(impatient.list())):
        with pytest.raises(StoreUnreachableError, match="run it again") as error:
            call()
        one_line(error)
    assert time.monotonic() - began < 15


def test_a_server_that_is_not_there(impatient, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreUnreachableError, match=r"http://127.0.0.1:9 does not answer .*\(connection refused\)"):
        impatient.get("a")


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AccessDenied", "is not allowed with these credentials"),
        (403, "InvalidAccessKeyId", r"the credentials are refused \(InvalidAccessKeyId\): set AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "the credentials are refused"),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong"),
        (400, "ExpiredToken", "the credentials have expired: sign in again"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region: set AWS_REGION"),
        (301, "PermanentRedirect", "the bucket is in another region: set AWS_REGION"),
        (404, "NoSuchBucket", "there is no bucket 'trainstack': create it"),
    ],
)
def test_a_refusal_is_one_line_at_once(store, proxy, tmp_path, status, code, says):
    (tmp_path / "file").write_bytes(b"x")
    version = store.get("workspace.json").version
    proxy.always(Fault(status=status, code=code))
    seen = len(proxy.requests)
    calls = (
        lambda: store.get("workspace.json"),
        lambda: store.create("a", b""),
        lambda: store.replace("workspace.json", b"", version),
        lambda: store.delete("a"),
        lambda: list(store.list()),
        lambda: store.upload(tmp_path / "file", "a"),
        lambda: store.download("workspace.json", tmp_path / "copy"),
    )
    for call in calls:
        with pytest.raises(TrainstackError, match=says) as error:
            call()
        one_line(error)
    assert len(proxy.requests) == seen + len(calls)


def test_wrong_keys_of_a_real_server(bucket_address, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(TrainstackError, match="the credentials are refused"):
        list(ObjectStore(bucket_address).list())


def test_a_bucket_that_a_real_server_lacks(bucket_address):
    for call in (lambda store: store.get("a"), lambda store: store.create("a", b""), lambda store: list(store.list())):
        with pytest.raises(TrainstackError, match="there is no bucket 'no-such-bucket'"):
            call(ObjectStore("s3://no-such-bucket/a"))


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_server_without_conditions_is_refused(bucket_address, proxy, header):
    store = ObjectStore(bucket_address)
    proxy.fault = lambda request: Fault(unconditional=header.lower() in request.headers)
    for _ in range(2):
        with pytest.raises(TrainstackError, match=f"the server ignores {header}, so that two machines"):
            store.create("runs/1/run.json", b"")
    assert list(store.list()) == []


def test_conditions_are_tried_once_a_machine(bucket_address, proxy):
    for number in range(3):
        store = ObjectStore(bucket_address)
        store.create(f"runs/{number}", b"")
        store.replace(f"runs/{number}", b"1", store.get(f"runs/{number}").version)
    probes = [request for request in proxy.requests if "locks/probe-" in request.path and request.method == "PUT"]
    assert len(probes) == 4


@pytest.mark.parametrize(
    "address", ["s3://", "s3://B", "s3:/bucket", "ftp://bucket/a", "s3://bucket//a", "s3://bucket/?"]
)
def test_addresses_that_are_none(address):
    with pytest.raises(InvalidInputError, match="write s3://BUCKET/FOLDER or gs://BUCKET/FOLDER or az://"):
        ObjectStore(address)


def test_credentials_of_a_profile(bucket_address, tmp_path):
    """By boto3, which is no dependency: a process of its own has it."""
    (tmp_path / "credentials").write_text(
        f"[team]\naws_access_key_id = {os.environ['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {os.environ['AWS_SECRET_ACCESS_KEY']}\n"
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_ACCESS_KEY_ID")}
    variables |= {"AWS_PROFILE": "team", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    variables |= {"PYTHONPATH": str(Path(trainstack.__file__).parents[1])}
    program = (
        "import sys; from trainstack.storage.object_store.store import ObjectStore; "
        "print(ObjectStore(sys.argv[1]).create('a', b'by a profile'))"
    )
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "run", "--no-project", "--with=boto3", "--with=obstore", "python", "-c", program, bucket_address]
    subprocess.run(command, env=variables, check=True, timeout=300)
    assert ObjectStore(bucket_address).get("a").data == b"by a profile"


def test_a_profile_without_boto3(bucket_address, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "team")
    with pytest.raises(TrainstackError, match=r"AWS_PROFILE=team: profiles are read by boto3, .*trainstack\[aws\]"):
        ObjectStore(bucket_address).get("a")
