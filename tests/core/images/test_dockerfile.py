"""The text of the Dockerfiles that we write; `test_image.py` builds them."""

import re

import pytest

from trainstack.core.environments.base_image import GPU_BASE, base_image
from trainstack.core.environments.environment import EnvironmentSpec, get_curated, lock
from trainstack.core.environments.lock import Lock
from trainstack.core.environments.requirements import read_lock
from trainstack.core.images import dockerfile

SIX = "six==1.17.0 \\\n    --hash=sha256:" + "a" * 64 + "\n"


def locked(text=SIX, **more):
    pins = {pin.name: pin.version for pin in read_lock(text)}
    return Lock(python="3.11", packages=pins, text=text, digest="d" * 64, **more)


def render(lock, **more):
    return {name: content.decode() for name, content in dockerfile.render("name", lock, "base:1", **more).items()}


def test_tensorflow_layer_ignores_other_packages():
    spec = get_curated("tensorflow-2.15")
    files = render(lock(spec))
    more = lock(spec).text + SIX.replace("six", "zzz-other")
    changed = render(locked(more))
    assert changed["image/tensorflow.lock"] == files["image/tensorflow.lock"]
    assert changed["image/packages.lock"] != files["image/packages.lock"]
    text = files["Dockerfile"]
    assert text.index("/run/context/tensorflow.lock") < text.index("/run/context/packages.lock")
    assert "pandas==" not in files["image/tensorflow.lock"]


@pytest.mark.parametrize("name", ["tensorflow-2.15", "tensorflow-2.15-horovod", "tensorflow-2.21"])
def test_the_layers_hold_every_package_once(name):
    known = lock(get_curated(name))
    files = render(known)
    layers = [text for file, text in files.items() if file in _LAYERS]
    pins = sorted(pin.name for text in layers for pin in read_lock(text))
    assert pins == sorted(pin.name for pin in read_lock(known.text))


_LAYERS = ("image/tensorflow.lock", "image/horovod.lock", "image/packages.lock")


def test_index_steps_mount_cache_and_settings():
    text = render(lock(get_curated("tensorflow-2.15-horovod")))["Dockerfile"]
    for step in re.findall(r"^RUN (?:.*\\\n)*.*", text, re.MULTILINE):
        assert "--mount=type=cache,id=trainstack-packages" in step
        if "--require-hashes" in step or "apt-get" in step:
            assert "--mount=type=secret,id=settings" in step


def test_the_image_ends_as_a_user_without_rights():
    text = render(locked())["Dockerfile"]
    assert re.findall(r"^USER (.*)", text, re.MULTILINE)[-1] == "1000:1000"


def test_variables_are_quoted():
    text = render(locked(), variables={"A": 'say "$HOME" \\ twice'})["Dockerfile"]
    assert 'ENV A="say \\"\\$HOME\\" \\\\ twice"' in text


def test_horovod_is_compiled_in_a_stage_of_its_own():
    text = render(lock(get_curated("tensorflow-2.15-horovod")))["Dockerfile"]
    stage = text[text.index("FROM tensorflow AS horovod") : text.index("FROM tensorflow\n")]
    assert "HOROVOD_WITH_TENSORFLOW=1" in stage
    assert "g++" in stage
    assert "/run/context/packages.lock" not in stage


def test_micromamba_installs_conda_packages_alone():
    files = render(locked(conda=("gdal=3.8", "libspatialindex"), channels=("conda-forge",)))
    assert files["image/conda.yaml"] == (
        "channels:\n- conda-forge\ndependencies:\n- python=3.11\n- gdal=3.8\n- libspatialindex\n"
    )
    text = files["Dockerfile"]
    assert "FROM ${MICROMAMBA_IMAGE} AS micromamba" in text
    assert "micromamba create --yes --prefix /opt/environment --file /run/context/conda.yaml" in text
    assert "uv venv" not in text
    assert "--requirement /run/context/packages.lock" in text


def test_gpu_nodes_build_on_cudas_runtime_and_uv_brings_python(monkeypatch):
    monkeypatch.delenv("TRAINSTACK_GPU_BASE_IMAGE", raising=False)
    assert base_image("3.11", gpu=True) == GPU_BASE
    text = dockerfile.render("gpu", locked(), GPU_BASE)["Dockerfile"].decode()
    assert f"ARG BASE_IMAGE={GPU_BASE}" in text
    assert "UV_PYTHON_INSTALL_DIR=/opt/python /run/uv/bin/uv venv --quiet --python 3.11" in text
    assert "apt-get install --yes --no-install-recommends ca-certificates python3-pip" in text


def test_base_image_order_of_precedence(monkeypatch):
    monkeypatch.delenv("TRAINSTACK_BASE_IMAGE", raising=False)
    assert base_image("3.11") == "python:3.11-slim-bookworm"
    assert base_image("3.12.4") == "python:3.12.4-slim-bookworm"
    monkeypatch.setenv("TRAINSTACK_BASE_IMAGE", "mine:1")
    assert base_image("3.11") == "mine:1"
    assert base_image("3.11", "theirs:2") == "theirs:2"


def test_an_environment_without_packages_is_only_a_python():
    files = render(locked(""))
    assert "image/packages.lock" not in files
    assert "uv venv" in files["Dockerfile"]


def test_packages_alone_decide_what_an_environment_is():
    one = EnvironmentSpec.from_packages("one", ["six==1.17.0"])
    on_base = one.model_copy(update={"base_image": "mine:1"})
    assert one.digest == on_base.digest
