"""Fixtures for tests all over the tree."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.faulty_proxy import FaultyProxy

from trainstack.core.environments.environment import build, get_curated, lock
from trainstack.core.services.service import serving_environment
from trainstack.storage.object_store.store import ObjectStore

# Most workspaces of these tests are never looked at in a browser; the tests of the history start servers themselves.
os.environ.setdefault("TRAINSTACK_TRACKING", "off")
SAVE_ZOO = Path(__file__).with_name("server") / "save_zoo.py"
# Folders whose files take minutes each, the longest first.
LONG_FOLDERS = ("changes", "end_to_end", "chaos", "tools", "docs", "core")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take minutes too")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("long") and not item.config.getoption("--long"):
        pytest.skip("takes minutes: make test LONG=1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several workers begin with the long files: one that is begun last leaves the others idle for its length."""
    if not hasattr(config, "workerinput"):
        return

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return LONG_FOLDERS.index(folder) if folder in LONG_FOLDERS else len(LONG_FOLDERS)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def serving_interpreter() -> Callable[[str], Path]:
    """Gives the interpreter that serves models of a TensorFlow version; built once, kept in this machine's cache."""

    def interpreter(version: str) -> Path:
        spec = get_curated(serving_environment(version))
        return build(spec, lock(spec)).python

    return interpreter


@pytest.fixture(scope="session")
def serving_python(serving_interpreter: Callable[[str], Path]) -> Path:
    """The interpreter of the environment that serves models of TensorFlow 2.15."""
    return serving_interpreter("2.15")


@pytest.fixture(scope="session")
def zoo(serving_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of TensorFlow 2.15 with many signatures; `tests/server/save_zoo.py` says which."""
    folder = tmp_path_factory.mktemp("zoo") / "model"
    subprocess.run([serving_python, SAVE_ZOO, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def dense(serving_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo's default signature alone: a model that is served without TensorFlow."""
    folder = tmp_path_factory.mktemp("dense") / "model"
    subprocess.run([serving_python, SAVE_ZOO, folder, "serving_default"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def horovod_python() -> Path:
    """The interpreter of the environment with TensorFlow 2.15 and Horovod, which takes minutes to build once."""
    spec = get_curated("tensorflow-2.15-horovod")
    return build(spec, lock(spec)).python


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where the kernel lets us mount one."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def bucket_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of an empty folder in the bucket of a real S3 server."""
    credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    if "AWS_ENDPOINT_URL" not in credentials:
        pytest.skip("AWS_ENDPOINT_URL names no S3 server")
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    address = f"s3://trainstack/tests-{secrets.token_hex(6)}"
    yield address
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(address)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.delete, [item.key for item in store.list()]))


@pytest.fixture
def azure_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of an empty folder in the container `trainstack` of Azurite, Azure's emulator."""
    if "AZURE_STORAGE_USE_EMULATOR" not in os.environ:
        pytest.skip("AZURE_STORAGE_USE_EMULATOR is not set: no Azurite")
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    store = ObjectStore(f"az://trainstack/tests-{secrets.token_hex(6)}")
    yield store.address
    store.delete_all([item.key for item in store.list()])


@pytest.fixture
def proxy(bucket_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy before that server, which the environment names in its place."""
    with contextlib.closing(FaultyProxy(os.environ["AWS_ENDPOINT_URL"])) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy
