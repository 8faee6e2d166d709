"""Which images a stack's images are built on, and what the engine that builds them says they are."""

import os

import pytest
from tests.core.docker_runs import engine, needs_engine

from trainstack.core.preview.base_images import dockerfile_bases, find_base_images
from trainstack.core.preview.document import UNKNOWN, Resource
from trainstack.errors import TrainstackError

BASE = os.environ.get("TRAINSTACK_BASE_IMAGE", "python:3.11-slim-bookworm")
PACKAGES = {"name": "tiny", "packages": ["six==1.17.0"], "python": "3.11"}


def resource(kind, target, **inputs):
    compute = {"name": "place", "target": target, "max_nodes": 1}
    return Resource(f"urn:pulumi:dev::x::trainstack:{kind}::it", kind, {"compute": compute, **inputs}, {}, {})


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        ("FROM python:3.11\nRUN true\n", ["python:3.11"]),
        ("FROM --platform=linux/amd64 python:3.11 AS made\nFROM made\nFROM debian:12 as Last\nFROM last", [
            "python:3.11", "debian:12",
        ]),
        ("ARG TAG=3.11\nARG WHERE\nFROM python:${TAG}-slim\nFROM ${WHERE}\nFROM ${OTHER:-debian:12}", [
            "python:3.11-slim", "debian:12",
        ]),
        ("# FROM nothing\nfrom scratch\nCOPY --from=python:3.11 / /\n", []),
        ("FROM \\\n  python:3.11 \\\n  AS made\nFROM python:3.11", ["python:3.11"]),
    ],
)  # fmt: skip
def test_a_dockerfile_is_built_on_its_stages_images(text, bases):
    assert dockerfile_bases(text) == bases


def test_this_machine_builds_no_image_so_that_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    run = resource("TrainingRun", "local", environment_spec=PACKAGES)
    unknown = resource("Environment", "docker", spec=UNKNOWN)
    assert find_base_images([run, unknown], tmp_path) == {}


def test_an_engine_that_does_not_answer_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(TrainstackError, match=r"no Docker engine answers at .*none\.sock"):
        find_base_images([resource("TrainingRun", "docker", environment_spec=PACKAGES)], tmp_path)


def test_an_image_named_by_digest_needs_no_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    named = f"python@sha256:{'1' * 64}"
    run = resource("TrainingRun", "docker", environment_spec={**PACKAGES, "base_image": named})
    assert find_base_images([run], tmp_path) == {named: f"sha256:{'1' * 64}"}


@needs_engine
@pytest.mark.parametrize(
    "one",
    [
        resource("TrainingRun", "docker", environment_spec=PACKAGES),
        resource("Sweep", "docker", environment_spec=PACKAGES),
        resource("TrainingRun", "kubernetes", environment_spec=PACKAGES),
        resource("Environment", "docker", spec=PACKAGES),
        resource("Environment", "docker", spec={"name": "own", "dockerfile": "Dockerfile", "context": "."}),
        resource("WebService", "docker", model_name="net"),
        resource("ServiceImage", "kubernetes", model_name="net"),
        resource("WebService", "docker", server="tensorflow-serving", server_image=BASE),
    ],
    ids=lambda one: f"{one.kind} on {one.inputs['compute']['target']}",
)
def test_what_becomes_an_image_has_its_base_asked_of_the_engine(tmp_path, one):
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\n")
    found = find_base_images([one], tmp_path)
    assert found.keys() == {BASE}
    known = engine().images.get(BASE)
    assert found[BASE] in [known.id, *(digest.partition("@")[2] for digest in known.attrs["RepoDigests"])]
