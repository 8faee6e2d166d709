"""Saved environments: what `docker build` makes of them without us."""

import os
import shutil
import subprocess

import pytest
from tests.core.engine_images import needs_engine, unique_variables

from trainstack.core.environments.environment import EnvironmentSpec, clone, get_curated, lock
from trainstack.core.images import builder as image_builder
from trainstack.core.images.environment_lock import lock_environment
from trainstack.core.images.saved_environment import load_from_directory, save_to_directory


def test_what_was_saved_before_leaves_no_layer_behind(tmp_path):
    save_to_directory(get_curated("tensorflow-2.15"), tmp_path)
    assert (tmp_path / "image" / "tensorflow.lock").is_file()
    save_to_directory(EnvironmentSpec.from_packages("tiny", ["six==1.17.0"]), tmp_path)
    assert sorted(path.name for path in (tmp_path / "image").iterdir()) == ["installer.lock", "packages.lock"]


def test_saved_dockerfile_keeps_its_digest(tmp_path):
    source = tmp_path / "source"
    (source / "part" / "empty").mkdir(parents=True)
    (source / "part" / "run.sh").write_text("#!/bin/sh\n")
    (source / "part" / "run.sh").chmod(0o755)
    (source / "link").symlink_to("part/run.sh")
    (source / "ignored.csv").write_text("1")
    (source / ".dockerignore").write_text("*.csv\n")
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY . /\n")
    spec = EnvironmentSpec(name="own", dockerfile=str(tmp_path / "Containerfile"), context=str(source))
    save_to_directory(spec, tmp_path / "saved")
    assert not (tmp_path / "saved" / "context" / "ignored.csv").exists()
    shutil.rmtree(source)
    loaded = load_from_directory(tmp_path / "saved")
    assert loaded.name == "own"
    taken = lock_environment(loaded, in_image=True)
    assert taken.files["part/run.sh"].startswith("+x ")
    assert taken.files["link"] == "link to part/run.sh"
    again = tmp_path / "again"
    save_to_directory(loaded, again)
    assert lock_environment(load_from_directory(again), in_image=True).digest == taken.digest


@needs_engine
def test_plain_docker_build_makes_the_image_of_what_was_saved(tmp_path):
    command = image_builder.docker_program()
    if command is None:
        pytest.skip("no docker program with BuildKit on PATH")
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"], variables=unique_variables())
    save_to_directory(spec, tmp_path)
    assert load_from_directory(tmp_path) == spec.model_copy(update={"lock": lock(spec).text})
    tag = f"trainstack-test:{spec.variables['TEST']}"
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    subprocess.run([*command, "--quiet", "--tag", tag, str(tmp_path)], check=True, env=environment)
    try:
        words = [command[0], "run", "--rm", tag, "python", "-c", "import os, six; print(six.__version__, os.getuid())"]
        assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.split() == ["1.17.0", "1000"]
    finally:
        subprocess.run([command[0], "rmi", tag], check=True, capture_output=True)


def test_a_clone_of_a_curated_environment_keeps_its_lock(tmp_path):
    spec = clone(get_curated("tensorflow-2.15"), "mine")
    save_to_directory(spec, tmp_path)
    assert lock(load_from_directory(tmp_path)).digest == lock(spec).digest
