"""What is built is whole: from the sdist a wheel, from the wheel an installation that works in an empty folder."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.end_to_end.project import REPOSITORY

UV = Path(sys.executable).with_name("uv")


def run(*command, cwd, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    # The wheel is built from the sdist, so what that lacks the wheel lacks too.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY, cwd=folder)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def test_distributions_hold_types_locks_and_templates(built):
    wheel, sdist = built
    names = set(zipfile.ZipFile(wheel).namelist())
    package = REPOSITORY / "components" / "trainstack"
    kept = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {f"trainstack/{path.relative_to(package).as_posix()}" for path in kept} <= names
    assert "trainstack/py.typed" in names
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "docs/index.md", "policy/PulumiPolicy.yaml"} <= inside


def test_an_installed_wheel_works_from_an_empty_folder(built, tmp_path):
    wheel, _ = built
    empty, home = tmp_path / "empty", tmp_path / "home"
    empty.mkdir()
    home.mkdir()
    run(UV, "venv", "--python", sys.executable, tmp_path / "venv", cwd=empty)
    python = tmp_path / "venv" / "bin" / "python"
    lock = REPOSITORY / "requirements.lock"
    run(UV, "pip", "install", "--python", python, "--require-hashes", "--requirement", lock, cwd=empty)
    run(UV, "pip", "install", "--python", python, "--no-deps", wheel, cwd=empty)
    trainstack = python.with_name("trainstack")
    here = {"HOME": str(home), "TRAINSTACK_CACHE": str(home / "cache")}
    assert run(trainstack, "--version", cwd=empty, **here).startswith("trainstack ")
    assert "tensorflow-2.15" in run(trainstack, "environments", "list", cwd=empty, **here)
    run(trainstack, "init", "shop", cwd=empty, **here)
    assert (empty / "shop" / "__main__.py").is_file()
    every = "import trainstack as ts; print(len([getattr(ts, name) for name in ts.__all__]))"
    assert int(run(python, "-c", every, cwd=empty, **here)) > 20
    # Without the policy extra the pack says what it lacks.
    pack = python.with_name("pulumi-analyzer-policy-trainstack")
    asked = subprocess.run([pack], cwd=empty, capture_output=True, text=True)
    assert asked.returncode == 1
    assert "install trainstack[policy]" in asked.stderr
