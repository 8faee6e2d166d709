"""What is wrong with data in an object store is one line, in preview."""

import pytest
from tests.faulty_proxy import Fault

from trainstack.core.datasets.checks import DatasetChecks
from trainstack.core.datasets.dataset import DatasetSpec, register, validate
from trainstack.core.datasets.expected import expect
from trainstack.core.datasets.in_place import listing, preview, registration
from trainstack.core.datasets.in_place.datastore import DatastoreSpec
from trainstack.errors import InvalidInputError

_MD5 = "0123456789abcdef0123456789abcdef"


def spec(*paths, **others):
    return DatasetSpec(name="photos", paths=paths, **others)


def refused(workspace, *paths, **others):
    with pytest.raises(InvalidInputError) as error:
        expect(workspace, spec(*paths, **others))
    text = str(error.value)
    assert "\n" not in text
    return text


def answering(proxy, *keys, etag=f"&quot;{_MD5}&quot;", size=1):
    """Makes the server list these keys."""
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>{etag}</ETag><Size>{0 if key.endswith('/') else size}</Size></Contents>"
        for key in keys
    )
    body = f"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    proxy.always(Fault(body=body.encode()), "GET")


def test_nothing_there_is_named(workspace, photos):
    assert refused(workspace, f"{photos}/none").startswith(f"no object or folder '{photos}/none'")
    assert refused(workspace, f"{photos}/none/").startswith(f"no object below '{photos}/none/'")
    assert refused(workspace, f"{photos}/*.jpg").startswith(f"no object matches '{photos}/*.jpg'")


def test_a_bucket_that_is_not_there_is_named(workspace, bucket_address):
    assert "there is no bucket 'trainstack-none'" in refused(workspace, "s3://trainstack-none/data")


def test_a_bucket_of_another_region_names_it(workspace, photos, proxy):
    proxy.always(Fault(status=400, code="AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region><Code>x"), "GET")
    assert "another region: set AWS_REGION to eu-west-1" in refused(workspace, photos)


def test_a_refusal_says_what_is_needed(workspace, photos, proxy):
    proxy.always(Fault(status=403, code="AccessDenied"), "GET")
    line = refused(workspace, photos)
    assert "let their policy list and read there, or set requester_pays=True" in line


def test_wrong_credentials_are_named(workspace, photos, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    line = refused(workspace, photos)
    assert "the credentials are refused (SignatureDoesNotMatch)" in line
    assert "wrong" not in line.replace("wrong_", "")


@pytest.mark.parametrize("key", ["p/a//b", "p/../b", "p/./b", "p/a&#10;b"])
def test_a_key_that_cannot_be_a_file_is_named(workspace, proxy, key):
    answering(proxy, "p/good", key)
    line = refused(workspace, "s3://trainstack/p")
    assert line.startswith("the key 's3://trainstack/p/")
    assert "cannot be a file" in line


def test_a_name_that_is_too_long_is_named(workspace, proxy):
    answering(proxy, f"p/{'x' * 256}")
    assert "longer than the 255 bytes" in refused(workspace, "s3://trainstack/p")


def test_a_file_that_is_also_a_folder_is_named(workspace, proxy):
    answering(proxy, "p/a", "p/a/b")
    assert "'a' is the file s3://trainstack/p/a and also the folder of s3://trainstack/p/a/b" in refused(
        workspace, "s3://trainstack/p"
    )


def test_markers_of_folders_are_no_files(workspace, proxy):
    answering(proxy, "p/", "p/d/", "p/d/e")
    assert list(expect(workspace, spec("s3://trainstack/p")).outputs["files"]) == ["d/e"]


def test_two_objects_of_one_name_are_named(workspace, photos, put):
    put(**{"photos/more/a.png": b"1"})
    line = refused(workspace, f"{photos}/train", f"{photos}/more")
    assert line.startswith(f"{photos}/train/a.png and {photos}/more/a.png would both be the file 'a.png'")


def test_names_that_collide_without_case_are_minded(workspace, proxy, monkeypatch):
    answering(proxy, "p/Data.csv", "p/data.csv")
    assert "'Data.csv' and 'data.csv' are one file" in expect(workspace, spec("s3://trainstack/p")).note
    monkeypatch.setattr(listing.sys, "platform", "darwin")
    assert "would be one file on this machine" in refused(workspace, "s3://trainstack/p")


def test_two_forms_of_a_letter_collide(workspace, proxy):
    answering(proxy, "p/caf\u00e9", "p/cafe\u0301")
    assert "are one file" in expect(workspace, spec("s3://trainstack/p")).note


@pytest.mark.parametrize("name", ["a b.txt", "größe/日本.txt", "x%20y.txt", "p#q~*!.txt"])
def test_unusual_names_are_registered(workspace, bucket_address, put, name):
    put(**{f"odd/{name}": b"1"})
    assert list(expect(workspace, spec(f"{bucket_address}/odd")).outputs["files"]) == [name]
    register(workspace, spec(f"{bucket_address}/odd"))


def test_too_many_objects_are_refused(workspace, photos, monkeypatch):
    monkeypatch.setattr(registration, "NO_LIMIT", listing.Limit(objects=2))
    with pytest.raises(InvalidInputError, match="more than 2 objects"):
        register(workspace, spec(photos))


def test_preview_takes_a_bounded_number_of_requests(workspace, photos, proxy, monkeypatch):
    monkeypatch.setattr(preview, "OBJECTS", 2)
    seen = expect(workspace, spec(photos))
    assert (seen.outputs, len(proxy.requests)) == ({}, 1)
    assert "`up` lists them all" in seen.note


def test_a_store_without_etags_is_refused(workspace, proxy):
    answering(proxy, "p/a", etag="")
    assert "nobody would notice when it is overwritten" in refused(workspace, "s3://trainstack/p")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("hf://datasets/mnist", "data is read in place from s3://, gs://, az:// and abfss://"),
        ("https://example.org/a.csv", "give it in urls"),
        ("s3://", "names no bucket"),
        ("s3://b/", "names no bucket"),
        ("abfss://container/x", "names no bucket"),
        ("s3://bucket/a//b", "has '//' in its path"),
        ("s3://bucket/../b", "has '..' in its path"),
        ("s3://bucket/a\nb", "has a control character"),
    ],
)
def test_a_wrong_address_is_refused_before_any_request(path, problem):
    with pytest.raises(InvalidInputError) as error:
        validate(spec(path))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ({"root": "lake"}, "is no address of a bucket"),
        ({"root": "gs://bucket", "profile": "team"}, "profile is an option of s3:// alone"),
        ({"root": "s3://bucket", "anonymous": True, "requester_pays": True}, "anonymous sends none"),
        ({"root": "s3://bucket", "endpoint": "minio:9000"}, "is no server"),
        ({"root": "s3://bucket", "endpoint": "https://key:secret@minio"}, "would be written into state"),
    ],
)
def test_a_wrong_datastore_is_refused_before_any_request(store, problem):
    with pytest.raises(InvalidInputError) as error:
        validate(spec("s3://bucket/a", datastores=(DatastoreSpec(**store),)))
    assert problem in str(error.value)
    assert "secret" not in str(error.value)


def test_checks_of_objects_fail_in_preview(workspace, photos):
    checks = DatasetChecks(min_files=4, globs=("train/*.jpg",))
    line = refused(workspace, photos, checks=checks)
    assert "3 files, at least 4; no file matches 'train/*.jpg'" in line
    with pytest.raises(InvalidInputError):
        register(workspace, spec(photos, checks=checks))
