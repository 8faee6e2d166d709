"""`trainstack environments list|show`: the curated ones, and what is built on this machine."""

import shutil

import pytest

from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of this machine's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TRAINSTACK_CACHE", str(folder))
    return folder


@pytest.fixture
def built(cache):
    """A real environment in it."""
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"])
    return environment.build(spec, environment.lock(spec))


def test_curated_environments_are_listed_before_they_are_built(cache, json_output, cli):
    environments = json_output("environments", "list")
    assert [report["name"] for report in environments] == environment.curated_names()
    assert {report["state"] for report in environments} == {"not built"}
    assert all(report["package_count"] > 10 for report in environments)
    assert "trainstack-tensorflow-2.15 " in cli("environments", "list").stdout


def test_what_is_built_here_is_listed_with_its_digest(built, json_output):
    (report,) = [report for report in json_output("environments", "list") if not report["curated"]]
    assert (report["digest"], report["state"], report["package_count"]) == (built.digest, "ready", 1)


def test_an_incomplete_environment_is_broken_and_says_why(built, json_output, cli):
    shutil.rmtree(next(built.folder.glob("venv/lib/python3*/site-packages")) / "six-1.17.0.dist-info")
    report = json_output("environments", "show", built.digest[:8])
    assert (report["state"], report["reason"]) == ("broken", "six-1.17.0 is gone from it")
    assert "six-1.17.0 is gone from it" in cli("environments", "show", built.digest).stdout


def test_an_environment_being_built_is_not_called_broken(built, json_output, holding):
    (built.folder / "complete").unlink()
    with holding(built.folder.with_name(f"{built.folder.name}.lock")):
        assert json_output("environments", "show", built.digest)["state"] == "building"
    assert json_output("environments", "show", built.digest)["state"] == "broken"


def test_show_lists_every_locked_package(cache, json_output, cli):
    spec = environment.get_curated("tensorflow-2.15")
    for name in ("trainstack-tensorflow-2.15", "tensorflow-2.15"):
        report = json_output("environments", "show", name)
        assert report["locked"] == environment.lock(spec).packages
        assert report["packages"] == list(spec.packages)
    lines = [line.split() for line in cli("environments", "show", "tensorflow-2.15").stdout.splitlines()]
    assert ["tensorflow-cpu", "2.15.1"] in lines


def test_an_unknown_environment_is_one_line(cache, cli):
    result = cli("environments", "show", "nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: no environment 'nothing': see `trainstack environments list`\n"
