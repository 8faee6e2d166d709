"""Locks: resolved once with uv on the real index, the same for the same environment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from trainstack.core.environments.environment import EnvironmentSpec, cached_lock, get_curated, lock
from trainstack.core.images.saved_environment import load_from_directory, save_to_directory
from trainstack.errors import IndexUnreachableError, InvalidInputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no package index answer from here on."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


def test_every_package_is_pinned_without_an_index() -> None:
    found = lock(EnvironmentSpec.from_packages("mine", ["itsdangerous<2.3", "Jinja2==3.1.6"]))
    assert set(found.packages) == {"itsdangerous", "jinja2", "markupsafe"}
    assert found.packages["jinja2"] == "3.1.6"
    pins = [line for line in found.text.splitlines() if not line.startswith(" ")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+ \\", line) for line in pins)
    assert found.text.count("--hash=sha256:") >= len(pins)
    assert "://" not in found.text


def test_an_unchanged_environment_is_not_resolved_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = lock(EnvironmentSpec.from_packages("mine", ["six==1.17.0", "itsdangerous==2.2.0"]))
    no_index(monkeypatch, tmp_path)
    told: list[str] = []
    again = EnvironmentSpec.from_packages("other", ["itsdangerous==2.2.0", "six==1.17.0"])
    assert lock(again, progress=told.append) == first == cached_lock(again)
    assert told == []


def test_cached_lock_never_asks_the_index() -> None:
    assert cached_lock(EnvironmentSpec.from_packages("mine", ["six"])) is None


def test_a_remembered_lock_that_was_cut_short_is_made_again(cache: Path) -> None:
    spec = EnvironmentSpec.from_packages("mine", ["six==1.17.0"])
    first = lock(spec)
    [remembered] = (cache / "locks").glob("*.json")
    remembered.write_bytes(remembered.read_bytes()[:100])
    assert cached_lock(spec) is None
    assert lock(spec) == first


def test_the_digest_covers_versions_and_python_but_not_hashes() -> None:
    text = f"six==1.17.0 --hash=sha256:{'0' * 64}\n"
    digest = lock(EnvironmentSpec(name="mine", lock=text)).digest
    assert lock(EnvironmentSpec(name="mine", lock=text.replace("0" * 64, "1" * 64))).digest == digest
    assert lock(EnvironmentSpec(name="mine", lock=text.replace("1.17", "1.16"))).digest != digest
    assert lock(EnvironmentSpec(name="mine", lock=text, python="3.12")).digest != digest


def test_packages_for_other_machines_are_locked_but_not_counted() -> None:
    zeros = f"--hash=sha256:{'0' * 64}"
    lines = ["six==1.17.0", "pywin32==311 ; sys_platform == 'win32'", "tomli==2 ; python_version < '3.11'"]
    text = "".join(f"{line} {zeros}\n" for line in lines)
    found = lock(EnvironmentSpec(name="mine", lock=text))
    assert found.packages == {"six": "1.17.0"}
    assert "pywin32==311 ; sys_platform == 'win32'" in found.text.replace('"', "'")


def test_a_lock_that_was_brought_must_hold_what_is_asked_for() -> None:
    text = f"six==1.16.0 --hash=sha256:{'0' * 64}\n"
    with pytest.raises(InvalidInputError, match=r"holds six 1\.16\.0, but 'six>=1\.17' is asked for"):
        lock(EnvironmentSpec(name="mine", packages=("six>=1.17",), lock=text))
    with pytest.raises(InvalidInputError, match="does not hold itsdangerous"):
        lock(EnvironmentSpec(name="mine", packages=("itsdangerous",), lock=text))


def test_no_packages_at_all_is_an_environment_too() -> None:
    assert lock(EnvironmentSpec.from_packages("bare", [])).packages == {}


def test_tensorflow_cpu_satisfies_tensorflow() -> None:
    packages = lock(EnvironmentSpec.from_packages("mine", ["tensorflow-cpu==2.15.1", "tf-keras==2.15.1"])).packages
    assert packages["tensorflow-cpu"] == "2.15.1"
    assert packages["tf-keras"] == "2.15.1"
    assert "tensorflow" not in packages


@pytest.mark.parametrize(
    ("packages", "python", "reason"),
    [
        (["trainstack-no-such-package"], "3.11", "package 'trainstack-no-such-package' does not exist"),
        (["six==99"], "3.11", "there is no version six==99"),
        (["six==1.17.0", "six<1"], "3.11", "do not go together: .*six"),
        (["tensorflow-cpu==2.15.1"], "3.12", r"tensorflow-cpu==2\.15\.1 has no build for this Python, only for cp39"),
        (["horovod==0.28.1", "six"], "3.11", "horovod needs TensorFlow beside it"),
        (["horovod==0.28.1", "tensorflow-cpu==2.16.1"], "3.11", r"does not work with tensorflow-cpu 2\.16\.1"),
    ],
)
def test_packages_that_cannot_be_had_are_named_in_one_line(packages: list[str], python: str, reason: str) -> None:
    spec = EnvironmentSpec.from_packages("mine", packages, python=python)
    with pytest.raises(InvalidInputError, match=reason) as caught:
        lock(spec)
    assert "\n" not in str(caught.value)
    assert cached_lock(spec) is None


def test_unreachable_index_differs_from_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_index(monkeypatch, tmp_path)
    with pytest.raises(IndexUnreachableError, match=r"index at 127\.0\.0\.1:9 does not answer"):
        lock(EnvironmentSpec.from_packages("mine", ["six"]), retries=0)


def test_pips_index_is_used_without_uv_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "PIP_INDEX_URL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = http://me:secret@127.0.0.1:9/simple\n"
    )
    spec = EnvironmentSpec.from_packages("mine", ["six"])
    with pytest.raises(IndexUnreachableError, match=r"index at 127\.0\.0\.1:9 does not answer") as caught:
        lock(spec, retries=0)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:10/simple")
    with pytest.raises(IndexUnreachableError, match=r"127\.0\.0\.1:10"):
        lock(spec, retries=0)


def test_settings_of_the_current_folder_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text('constraint-dependencies = ["six<1.16"]\n')
    monkeypatch.chdir(tmp_path)
    assert lock(EnvironmentSpec.from_packages("mine", ["six==1.17.0"])).packages == {"six": "1.17.0"}


@pytest.mark.parametrize(
    "spec",
    [
        EnvironmentSpec.from_packages("mine", ["six==1.17.0"], variables={"A": "1"}),
        EnvironmentSpec.from_conda({"name": "mine", "dependencies": ["python=3.11", {"pip": ["six==1.17.0"]}]}),
        get_curated("tensorflow-2.15"),
    ],
    ids=["packages", "conda", "curated"],
)
def test_a_saved_environment_is_the_same_elsewhere(
    spec: EnvironmentSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = lock(spec)
    save_to_directory(spec, tmp_path / "saved")
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "elsewhere"))
    no_index(monkeypatch, tmp_path)
    loaded = load_from_directory(tmp_path / "saved")
    assert lock(loaded).digest == first.digest
    assert loaded.model_copy(update={"lock": spec.lock}) == spec
    asked = {path.name for path in (tmp_path / "saved").iterdir()} - {"environment.json", "requirements.lock"}
    assert asked == {"Dockerfile", "image", "conda.yaml" if spec.conda else "requirements.in"}
    assert "lock" in json.loads((tmp_path / "saved" / "environment.json").read_bytes())


def test_a_folder_without_a_saved_environment_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds no saved environment"):
        load_from_directory(tmp_path)
