"""A run is given the objects that were registered: fetched once a machine, read-only, or not at all."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest
from tests.faulty_proxy import Fault

from trainstack.core.datasets.dataset import DatasetSpec, register
from trainstack.core.datasets.dataset_record import object_files
from trainstack.core.datasets.in_place.lending import Mode, lend_objects
from trainstack.core.datasets.in_place.node_cache import NodeCache
from trainstack.core.datasets.in_place.object_reader import ObjectReader
from trainstack.errors import TrainstackError


@pytest.fixture
def cache(tmp_path):
    return NodeCache(tmp_path / "objects")


@pytest.fixture
def lend(workspace, cache, tmp_path):
    """Lends what an address has into a folder; an address that is registered is not listed again."""

    def into(name, address, mode: Mode = "mount", limit=10**9):
        record = register(workspace, DatasetSpec(name="photos", paths=(address,)))
        objects = object_files(workspace, record)
        reader = ObjectReader("version 1 of dataset 'photos'", ())
        return lend_objects(objects, tmp_path / name, reader, mode, label="dataset 'photos'", cache=cache, limit=limit)

    return into


def gets(proxy):
    return [request for request in proxy.requests if request.method == "GET" and "list-type" not in request.path]


def content(put, key):
    return bytes(obstore.get(put.store, key).bytes())


def test_mounted_objects_are_there_read_only(lend, photos, put, tmp_path):
    lent = lend("run", photos)
    assert (tmp_path / "run/train/a.png").read_bytes() == content(put, "photos/train/a.png")
    assert (tmp_path / "run/train/a.png").stat().st_mode & 0o777 == 0o444
    assert (sorted(lent.digests), lent.fetched) == (["test/c.png", "train/a.png", "train/b.png"], 3)


def test_two_runs_of_a_machine_fetch_an_object_once(lend, photos, proxy):
    lend("registered first", photos)
    proxy.requests.clear()
    assert lend("one", photos).fetched == 0
    assert gets(proxy) == []


def test_runs_that_start_at_once_fetch_an_object_once(workspace, photos, proxy, tmp_path):
    record = register(workspace, DatasetSpec(name="photos", paths=(photos,)))
    objects, barrier = object_files(workspace, record), threading.Barrier(4)

    def start(number):
        barrier.wait()
        reader = ObjectReader("v", ())
        cache = NodeCache(tmp_path / "shared")
        folder = tmp_path / f"run-{number}"
        return lend_objects(objects, folder, reader, "mount", label="d", cache=cache, limit=10**9).fetched

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(start, range(4))) == 3
    assert len(gets(proxy)) == 3


def test_equal_bytes_at_two_addresses_are_one_file(lend, cache, bucket_address, put):
    data = os.urandom(100)
    put(**{"one/a": data, "two/b": data})
    lend("one", f"{bucket_address}/one")
    assert lend("two", f"{bucket_address}/two").fetched == 0
    assert len(list(cache.blobs)) == 1


@pytest.mark.parametrize("mode", ["mount", "download"])
def test_an_object_that_was_overwritten_is_named(lend, workspace, photos, put, mode):
    register(workspace, DatasetSpec(name="photos", paths=(photos,)))
    put(**{"photos/train/b.png": os.urandom(1000)})
    with pytest.raises(TrainstackError) as error:
        lend("run", photos, mode)
    assert str(error.value).startswith(
        f"{photos}/train/b.png is not what version 1 of dataset 'photos' has any more (it was overwritten)"
    )


def test_an_object_that_is_gone_is_named(lend, workspace, photos, put):
    register(workspace, DatasetSpec(name="photos", paths=(photos,)))
    obstore.delete(put.store, "photos/test/c.png")
    with pytest.raises(TrainstackError, match=r"test/c\.png is not what .* \(it is gone\)"):
        lend("run", photos)


def test_a_server_that_ignores_the_condition_is_found_out(lend, workspace, photos, put, monkeypatch):
    register(workspace, DatasetSpec(name="photos", paths=(photos,)))
    put(**{"photos/train/b.png": os.urandom(900)})
    get = obstore.get
    monkeypatch.setattr(obstore, "get", lambda store, key, options=None: get(store, key))
    with pytest.raises(TrainstackError, match=r"train/b\.png is not what .* 900 bytes"):
        lend("run", photos)


def test_large_objects_come_in_parts_of_one_version(lend, bucket_address, put, proxy, tmp_path):
    data = os.urandom(40 << 20)
    put(**{"large/a.bin": data})
    lend("run", f"{bucket_address}/large")
    assert (tmp_path / "run/a.bin").read_bytes() == data
    assert all("if-match" in request.headers for request in gets(proxy))


def test_downloaded_objects_are_the_runs_own(lend, photos, cache, tmp_path):
    lend("own", photos, "download")
    assert (tmp_path / "own/train/a.png").stat().st_nlink == 1
    assert list(cache.blobs) == []
    lend("mounted", photos)
    assert (tmp_path / "mounted/train/a.png").stat().st_nlink == 2
    assert lend("copied", photos, "download").fetched == 0
    assert (tmp_path / "copied/train/a.png").stat().st_nlink == 1


def test_the_cache_is_bounded_and_keeps_what_runs_use(lend, cache, bucket_address, put, tmp_path):
    for name in ("a", "b", "c"):
        put(**{f"{name}/x": os.urandom(1000)})
    lend("a", f"{bucket_address}/a", limit=2500)
    lend("b", f"{bucket_address}/b", limit=2500)
    (tmp_path / "b/x").unlink()
    lend("c", f"{bucket_address}/c", limit=2500)
    assert cache.size() == 2000
    assert lend("a again", f"{bucket_address}/a", limit=2500).fetched == 0
    assert lend("b again", f"{bucket_address}/b", limit=3500).fetched == 1


def test_more_than_the_cache_holds_is_refused(lend, photos):
    with pytest.raises(TrainstackError, match=r"3,000 bytes, .* may hold 2,999: raise cache_gib"):
        lend("run", photos, limit=2999)
    assert lend("run", photos, "download", limit=2999).fetched == 3


def test_a_damaged_cached_object_is_fetched_again(lend, cache, photos, put, tmp_path):
    lent = lend("one", photos)
    path = cache.blobs.path(lent.digests["train/a.png"])
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert lend("two", photos).fetched == 1
    assert (tmp_path / "two/train/a.png").read_bytes() == content(put, "photos/train/a.png")


def test_an_object_that_a_stopped_machine_left_cut_short_is_fetched_again(lend, cache, photos, put, tmp_path):
    lent = lend("one", photos)
    path = cache.blobs.path(lent.digests["train/a.png"])
    time = path.stat().st_mtime_ns
    (tmp_path / "one/train/a.png").unlink()
    path.chmod(0o644)
    path.write_bytes(b"")
    os.utime(path, ns=(time, time))
    assert lend("two", photos).fetched == 1
    assert (tmp_path / "two/train/a.png").read_bytes() == content(put, "photos/train/a.png")


def test_a_passing_failure_of_the_store_is_outlasted(lend, photos, proxy):
    proxy.first(3, Fault(status=503, code="SlowDown"), "GET")
    assert lend("run", photos).fetched == 3
