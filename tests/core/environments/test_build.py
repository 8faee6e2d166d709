"""Built environments: real uv, small packages, and what happens when someone pulls the plug."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from trainstack.core.environments import sealed_files
from trainstack.core.environments.environment import (
    BuiltEnvironment,
    EnvironmentSpec,
    build,
    find_change,
    find_damage,
    location,
    lock,
)
from trainstack.errors import DigestMismatchError, TrainstackError

SMALL = ("six==1.17.0", "itsdangerous==2.2.0")
# Builds SMALL, prints each progress line, and where told to stops for good at one of them.
BUILDER = textwrap.dedent("""
    import json, sys, time
    from trainstack.core.environments.environment import EnvironmentSpec, build, lock

    def progress(line):
        print(line, flush=True)
        if len(sys.argv) > 2 and line.startswith(sys.argv[2]):
            time.sleep(600)

    spec = EnvironmentSpec.from_packages("mine", json.loads(sys.argv[1]))
    print("ready", build(spec, lock(spec), progress).python, flush=True)
""")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def builder(*stop_at: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, json.dumps(SMALL), *stop_at], stdout=subprocess.PIPE, text=True
    )


def small() -> EnvironmentSpec:
    return EnvironmentSpec.from_packages("mine", SMALL)


def test_built_interpreter_has_its_packages_alone() -> None:
    built = build(small(), lock(small()))
    script = "import six, itsdangerous, sys; print(sys.prefix, sys.version_info[:2], 'pydantic' in sys.modules)"
    said = subprocess.run([built.python, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"{built.folder / 'venv'} (3, 11) False\n"
    assert subprocess.run([built.python, "-c", "import pydantic"], capture_output=True).returncode == 1
    assert list(built.folder.glob("venv/lib/python3*/site-packages/__pycache__/six.*.pyc"))


def test_a_built_environment_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = lock(small())
    first = build(small(), locked)
    monkeypatch.setattr(subprocess, "Popen", None)
    told: list[str] = []
    assert build(EnvironmentSpec.from_packages("other", SMALL), locked, told.append) == first == location(locked)
    assert told == []


def test_progress_says_what_is_done() -> None:
    told: list[str] = []
    build(small(), lock(small()), told.append)
    assert told[0] == "creating a Python 3.11 environment"
    assert told[1] == "installing 2 packages"
    assert re.fullmatch(r"built 2 packages in \d+\.\d s", told[-1])


def test_an_environment_without_packages_is_built() -> None:
    spec = EnvironmentSpec.from_packages("bare", [])
    built = build(spec, lock(spec))
    assert find_damage(built) is None
    assert subprocess.run([built.python, "-c", ""]).returncode == 0


@pytest.mark.parametrize("stage", ["creating", "installing", "installed"])
def test_a_build_killed_at_any_stage_is_made_whole_by_the_next(stage: str) -> None:
    victim = builder(stage)
    assert victim.stdout is not None
    for line in victim.stdout:
        if line.startswith(stage):
            break
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    locked = lock(small())
    assert find_damage(location(locked)) == "it was not built to its end"
    told: list[str] = []
    built = build(small(), locked, told.append)
    assert find_damage(built) is None
    assert "building again: it was not built to its end" in told
    assert subprocess.run([built.python, "-c", "import six, itsdangerous"]).returncode == 0


def test_two_builds_at_once_build_once() -> None:
    told = [process.communicate()[0].splitlines() for process in [builder(), builder()]]
    assert told[0][-1] == told[1][-1] == f"ready {location(lock(small())).python}"
    assert sum("installing 2 packages" in lines for lines in told) == 1


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("complete", "it was not built to its end"),
        ("venv/bin/python", "its Python interpreter is gone"),
        ("venv/lib/python3.11/site-packages/six-1.17.0.dist-info", "six-1.17.0 is gone from it"),
        ("venv/lib", "its packages are gone"),
    ],
)
def test_harm_is_noticed_named_and_mended(harm: str, reason: str) -> None:
    locked = lock(small())
    built = build(small(), locked)
    (built.folder / harm).rename(built.folder / "taken-away")
    assert find_damage(built) == reason
    assert find_damage(build(small(), locked)) is None
    assert subprocess.run([built.python, "-c", "import six"]).returncode == 0


def test_an_environment_that_was_never_built_is_not_there() -> None:
    assert find_damage(location(lock(small()))) == "it is not there"


def six_of(built: BuiltEnvironment) -> Path:
    return next(built.folder.glob("venv/lib/python3*/site-packages/six.py"))


def looked_over_long_ago(built: BuiltEnvironment) -> BuiltEnvironment:
    os.utime(built.folder / "seal", (0, 0))
    return built


def test_environments_share_no_file_with_each_other_or_with_uvs_cache() -> None:
    one = build(small(), lock(small()))
    other = EnvironmentSpec.from_packages("other", ["six==1.17.0"])
    two = build(other, lock(other))
    for built in (one, two):
        assert six_of(built).stat().st_nlink == 1
        assert not six_of(built).stat().st_mode & 0o222


def write_over(path: Path) -> None:
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"# mine")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda site: write_over(site / "six.py"), "six.py was changed"),
        (lambda site: (site / "six.py").unlink(), "six.py is gone"),
        (lambda site: (site / "mine.pth").write_text("import mine"), "mine.pth was added"),
    ],
    ids=["written over", "gone", "added"],
)
def test_a_file_that_is_not_what_was_built_is_noticed_and_mended(harm: Callable[[Path], object], reason: str) -> None:
    built = build(small(), lock(small()))
    harm(six_of(built).parent)
    assert find_damage(built) is None
    assert str(find_change(looked_over_long_ago(built))).endswith(reason)
    told: list[str] = []
    build(small(), lock(small()), told.append)
    assert reason in told[0]
    assert find_change(looked_over_long_ago(built)) is None


def test_what_python_and_a_restored_cache_do_to_files_is_no_change() -> None:
    built = build(small(), lock(small()))
    for path in (six_of(built), six_of(built).parent / "itsdangerous" / "__init__.py"):
        path.chmod(0o644)
    os.utime(six_of(built))
    subprocess.run([built.python, "-O", "-c", "import six"], check=True, env={"PATH": os.defpath})
    assert find_change(looked_over_long_ago(built)) is None
    assert find_change(looked_over_long_ago(built)) is None


def test_an_environment_is_looked_over_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    built = looked_over_long_ago(build(small(), lock(small())))
    assert find_change(built) is None
    monkeypatch.setattr(os, "scandir", None)
    assert sealed_files.find_change(built.folder) is None


def test_a_package_that_is_not_what_was_locked_is_refused() -> None:
    spec = EnvironmentSpec(name="mine", lock=f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(DigestMismatchError, match=r"six==1\.17\.0 on the package index is not the one that was locked"):
        build(spec, lock(spec))
    assert find_damage(location(lock(spec))) == "it was not built to its end"


def test_a_python_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_PYTHON_PREFERENCE", "only-managed")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "none"))
    other = f"3.{sys.version_info.minor + 1}"
    spec = EnvironmentSpec.from_packages("mine", ["six"], python=other)
    with pytest.raises(TrainstackError, match=rf"Python {re.escape(other)} is not installed") as caught:
        build(spec, lock(spec))
    assert "\n" not in str(caught.value)


def test_failed_compilation_shows_the_compilers_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = tmp_path / "broken-ext-1.0"
    source.mkdir()
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: broken-ext\nVersion: 1.0\n")
    (source / "broken.c").write_text("#include <no_such_header_here.h>\n")
    (source / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='broken-ext', version='1.0', ext_modules=[Extension('broken_ext', ['broken.c'])])\n"
    )
    (tmp_path / "links").mkdir()
    with tarfile.open(tmp_path / "links" / "broken_ext-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    spec = EnvironmentSpec.from_packages("mine", ["broken-ext==1.0"])
    with pytest.raises(TrainstackError, match=r"broken\.c:1:10: fatal error: no_such_header_here\.h") as caught:
        build(spec, lock(spec))
    log = location(lock(spec)).folder / "build.log"
    assert str(log) in str(caught.value)
    assert "no_such_header_here.h" in log.read_text()


def test_a_shells_own_environment_does_not_leak_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "theirs"))
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "theirs"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    built = build(small(), lock(small()))
    assert find_damage(built) is None
    assert not (tmp_path / "theirs").exists()


def test_a_home_without_anything_in_it_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("TRAINSTACK_CACHE", "UV_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    built = build(small(), lock(small()))
    assert find_damage(built) is None
    assert built.folder.is_relative_to(tmp_path / "home")


def test_read_only_home_needs_only_a_cache_folder(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("HOME", "/proc/no-home")
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert find_damage(build(small(), lock(small()))) is None
    assert (cache / "uv").is_dir()
