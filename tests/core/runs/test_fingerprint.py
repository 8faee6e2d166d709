"""A run is named by what it is and never by where it runs."""

import pytest

from trainstack.core.runs.arguments import canonical
from trainstack.core.runs.fields import RunEnvironment, RunSpec

ENVIRONMENT = RunEnvironment(digest="e" * 64, packages={"numpy": "1.26.4"})


def spec(**changes):
    values = {
        "script": "train.py",
        "files": {"train.py": "a" * 64, "net.py": "b" * 64},
        "arguments": canonical({"--lr": 0.1, "--data": "${dataset:mnist}"}),
        "datasets": {"mnist": "d" * 64},
        "environment": ENVIRONMENT,
        "environment_variables": {"SEED": "1"},
        "secret_variables": ("TOKEN",),
    }
    return RunSpec(**{**values, **changes})


def test_the_same_is_the_same_whatever_the_order():
    again = spec(
        files={"net.py": "b" * 64, "train.py": "a" * 64},
        arguments=canonical({"--data": "${dataset:mnist}", "--lr": 0.1}),
    )
    assert again.fingerprint == spec().fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"script": "net.py"},
        {"files": {"train.py": "c" * 64, "net.py": "b" * 64}},
        {"files": {"train.py": "a" * 64}},
        {"files": {"train.py": "a" * 64, "other.py": "b" * 64}},
        {"arguments": canonical({"--lr": 0.2, "--data": "${dataset:mnist}"})},
        {"arguments": ["--lr", "0.1"]},
        {"datasets": {"mnist": "f" * 64}},
        {"environment": RunEnvironment(digest="f" * 64)},
        {"environment": RunEnvironment(digest="e" * 64, variables={"A": "1"})},
        {"environment_variables": {"SEED": "2"}},
        {"secret_variables": ()},
        {"distribution": {"kind": "horovod", "node_count": 2}},
        {"trigger": "again"},
    ],
)
def test_whatever_decides_the_result_changes_the_fingerprint(change):
    assert spec(**change).fingerprint != spec().fingerprint


def test_a_dataset_counts_by_its_content_and_not_by_its_name():
    renamed = spec(arguments=canonical({"--lr": 0.1, "--data": "${dataset:digits}"}), datasets={"digits": "d" * 64})
    assert renamed.fingerprint == spec().fingerprint


def test_two_datasets_that_change_places_are_another_run():
    arguments = canonical({"--train": "${dataset:a}", "--test": "${dataset:b}"})
    one = spec(arguments=arguments, datasets={"a": "1" * 64, "b": "2" * 64})
    other = spec(arguments=arguments, datasets={"a": "2" * 64, "b": "1" * 64})
    assert one.fingerprint != other.fingerprint


def test_the_lock_digest_counts_and_package_names_do_not():
    described = RunEnvironment(digest="e" * 64, packages={})
    assert spec(environment=described).fingerprint == spec().fingerprint


def test_the_run_id_is_the_start_of_the_fingerprint():
    assert spec().fingerprint.startswith(spec().run_id)
    assert len(spec().run_id) == 16
