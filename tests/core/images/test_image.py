"""Environments as images, on a real engine and with a real registry."""

import contextlib
import os
import re
from pathlib import Path

import pytest
from docker.errors import NotFound
from tests.core.engine_images import needs_engine, unique_variables

from trainstack.core.environments.environment import EnvironmentSpec, lock
from trainstack.core.images import builder as image_builder
from trainstack.core.images.environment_lock import lock_environment
from trainstack.core.images.image import CONTENT, Image, Registry, ensure
from trainstack.docker_engine import engine_api
from trainstack.errors import InvalidInputError, TrainstackError

pytestmark = needs_engine


@pytest.fixture
def client():
    with engine_api.connected() as connected:
        before = set(connected.api.images(quiet=True))
        yield connected
        for image in set(connected.api.images(quiet=True, filters={"label": CONTENT})) - before:
            # Tests beside this one remove theirs.
            with contextlib.suppress(NotFound):
                connected.images.remove(image, force=True)


@pytest.fixture
def registry():
    address = os.environ["TRAINSTACK_BASE_IMAGE"].partition("/")[0]
    if not (address.startswith("localhost:") or ":" in address):
        pytest.skip("TRAINSTACK_BASE_IMAGE is not in a registry of one's own")
    return Registry(address=address)


def tiny(**given):
    return EnvironmentSpec.from_packages("tiny", ["six==1.17.0"], variables=given or unique_variables())


def said_in(client, image, code):
    words = [image.python, "-c", code]
    return client.containers.run(image.reference, words, remove=True, network_mode="none").decode().strip()


def test_packages_become_an_image_that_runs_them_as_no_root(client):
    spec = tiny()
    image = ensure(spec, lock(spec), client)
    assert image.reference.startswith("sha256:")
    said = said_in(client, image, "import os, six; print(os.getuid(), six.__version__, os.environ['TEST'])")
    assert said == f"1000 1.17.0 {spec.variables['TEST']}"


def test_an_image_that_is_there_is_found_and_not_built(client):
    spec = tiny()
    first = ensure(spec, lock(spec), client)
    told = []
    assert ensure(spec, lock(spec), client, progress=told.append) == first
    assert told == []


def test_image_is_pulled_from_the_registry(client, registry):
    spec = tiny()
    image = ensure(spec, lock(spec), client, registry)
    assert image.reference.startswith(f"{registry.address}/trainstack-environment@sha256:")
    client.images.remove(client.images.get(image.reference).id, force=True)
    told = []
    assert ensure(spec, lock(spec), client, registry, told.append) == image
    assert not any("building" in line for line in told)
    assert said_in(client, image, "import six; print(six.__version__)") == "1.17.0"


def test_local_image_is_pushed_without_a_rebuild(client, registry):
    spec = tiny()
    ensure(spec, lock(spec), client)
    told = []
    image = ensure(spec, lock(spec), client, registry, told.append)
    assert "@sha256:" in image.reference
    assert not any("building" in line for line in told)


def dockerfile(folder, text, **files):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(text)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return EnvironmentSpec(name="own", dockerfile=str(folder / "Dockerfile"), context=str(folder))


def base():
    return os.environ["TRAINSTACK_BASE_IMAGE"]


def test_a_dockerfile_is_built_with_its_context_and_found_again(client, tmp_path):
    mark = unique_variables()["TEST"]
    spec = dockerfile(tmp_path / "own", f"FROM {base()}\nCOPY mark /mark\n", mark=mark)
    named = lock_environment(spec, in_image=True)
    image = ensure(spec, named, client)
    assert image.python == "/usr/bin/python3"
    assert said_in(client, image, "print(open('/mark').read())") == mark
    told = []
    assert ensure(spec, named, client, progress=told.append) == image
    assert told == []


def test_context_changed_since_its_lock_is_refused(client, tmp_path):
    spec = dockerfile(tmp_path / "own", f"FROM {base()}\nCOPY mark /mark\n", mark=unique_variables()["TEST"])
    named = lock_environment(spec, in_image=True)
    (tmp_path / "own" / "mark").write_text("another")
    with pytest.raises(TrainstackError, match="changed meanwhile"):
        ensure(spec, named, client)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("RUN echo before && python3 -c 'raise SystemExit(\"no luck\")'", r"line 3 of its Dockerfile failed .*no luck"),
        ("RUN false &&\\\n    true", r"line 3 of its Dockerfile failed \(RUN false && true\) with exit code 1"),
        ("COPY nothing /here", r"line 3 of its Dockerfile failed \(COPY nothing /here\).*nothing"),
        ("RUNN false", r"line 3 of its Dockerfile: unknown instruction: RUNN"),
    ],
)
def test_a_failed_build_names_the_line_and_the_log(client, tmp_path, line, said):
    spec = dockerfile(tmp_path / "own", f"FROM {base()}\n# a comment\n{line}\n", mark=unique_variables()["TEST"])
    with pytest.raises(TrainstackError, match=said) as caught:
        ensure(spec, lock_environment(spec, in_image=True), client)
    assert "\n" not in str(caught.value)
    log = re.search(r"\(see (.*)\)$", str(caught.value))
    assert log is not None
    assert line.split()[0] in Path(log[1]).read_text()


def test_a_missing_base_image_is_named(client, tmp_path):
    spec = dockerfile(tmp_path / "own", "FROM localhost:5000/no/such:1\n", mark=unique_variables()["TEST"])
    with pytest.raises(TrainstackError, match="base image localhost:5000/no/such:1 is not to be had"):
        ensure(spec, lock_environment(spec, in_image=True), client)


def test_a_package_that_is_gone_from_the_index_is_named(client):
    text = "no-such-package-of-ours==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n"
    spec = EnvironmentSpec(name="gone", packages=("no-such-package-of-ours==1.0",), lock=text)
    with pytest.raises(TrainstackError, match="package 'no-such-package-of-ours' does not exist") as caught:
        ensure(spec, lock(spec), client)
    assert "\n" not in str(caught.value)


def test_a_package_with_another_hash_is_refused(client):
    text = "six==1.17.0 \\\n    --hash=sha256:" + "0" * 64 + "\n"
    spec = EnvironmentSpec(name="tampered", packages=("six==1.17.0",), lock=text)
    with pytest.raises(TrainstackError, match=r"six==1\.17\.0 on the package index is not the one that was locked"):
        ensure(spec, lock(spec), client)


def test_an_image_is_named_by_its_digest(client, registry):
    spec = EnvironmentSpec(name="theirs", image=base())
    named = lock_environment(spec, in_image=True)
    assert "@sha256:" in named.image
    image = ensure(spec, named, client)
    assert image == Image(reference=named.image, python="/usr/bin/python3")
    pinned = EnvironmentSpec(name="theirs", image=named.image)
    assert lock_environment(pinned, in_image=True, docker_host="tcp://127.0.0.1:1").digest == named.digest


def test_an_image_that_nobody_has_is_refused(client):
    with pytest.raises(InvalidInputError, match="there is no image 'localhost:5000/no/such:1'"):
        lock_environment(EnvironmentSpec(name="none", image="localhost:5000/no/such:1"), in_image=True)


def test_exception_in_progress_ends_the_build(client):
    spec = tiny()

    def stop(line):
        if "step" in line:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ensure(spec, lock(spec), client, progress=stop)
    assert ensure(spec, lock(spec), client).reference


def test_an_engine_without_buildkit_builds_the_same_packages(client, monkeypatch):
    monkeypatch.setattr(image_builder, "docker_program", lambda: None)
    spec = tiny()
    image = ensure(spec, lock(spec), client)
    assert said_in(client, image, "import os, six; print(os.getuid(), six.__version__)") == "1000 1.17.0"
