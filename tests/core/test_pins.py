"""The pins of a stack: what is told to have moved, and which lock an environment takes from them."""

import pytest

from trainstack.core.environments.environment import EnvironmentSpec, lock, spec_from_inputs
from trainstack.core.environments.pins import EnvironmentPin, Pins, differences, read_pins, write_pins
from trainstack.core.workspace.project import pin_file
from trainstack.errors import InvalidInputError

PIN = EnvironmentPin(spec_digest="a", digest="d" * 64, packages={"numpy": "1.26.4"})
PINS = Pins(
    versions={"pulumi": "3.250.0"},
    environments={"tf": PIN},
    base_images={"python:3.11": "sha256:1"},
    datasets={"mnist": "1" * 64},
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"versions": {"pulumi": "3.259.0"}}, "pulumi moved: 3.250.0 → 3.259.0"),
        ({"base_images": {"python:3.11": "sha256:2"}}, "base image python:3.11 moved: sha256:1 → sha256:2"),
        ({"datasets": {"mnist": "2" * 64}}, "dataset mnist moved: 111111111111 → 222222222222"),
        ({"datasets": {**PINS.datasets, "other": "3"}}, "dataset other is not pinned"),
        ({"datasets": {}}, "dataset mnist is pinned and not used"),
        ({"environments": {}}, "environment tf is pinned and not used"),
        (
            {"environments": {"tf": PIN.model_copy(update={"digest": "e", "packages": {"numpy": "2.0.0"}})}},
            "environment tf moved: numpy moved: 1.26.4 → 2.0.0",
        ),
        ({"environments": {"tf": PIN.model_copy(update={"digest": "e"})}}, "environment tf moved: its content changed"),
    ],
)
def test_what_moved_is_told_by_name(changes, line):
    assert differences(PINS, PINS.model_copy(update=changes)) == [line]


def test_nothing_moved_is_nothing_to_tell():
    assert differences(PINS, PINS) == []


def test_the_file_is_beside_the_stacks_configuration(tmp_path):
    assert pin_file(tmp_path, "dev") == tmp_path / "dev.lock.json"
    (tmp_path / "Pulumi.yaml").write_text("name: x\nstackConfigDir: stacks # here\n")
    assert pin_file(tmp_path, "organization/x/dev") == tmp_path / "stacks" / "dev.lock.json"


def test_pins_are_read_back_and_written_the_same(tmp_path):
    write_pins(tmp_path / "a", PINS)
    write_pins(tmp_path / "b", read_pins(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layout": 2}', '{"more": 1}'])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "dev.lock.json").write_text(text)
    with pytest.raises(InvalidInputError, match=r"dev\.lock\.json is damaged"):
        read_pins(tmp_path / "dev.lock.json")


def test_no_file_says_how_to_make_one(tmp_path):
    with pytest.raises(InvalidInputError, match="run `trainstack lock`"):
        read_pins(tmp_path / "dev.lock.json")


def test_pinned_environment_is_not_resolved_again(tmp_path):
    older = lock(EnvironmentSpec.from_packages("older", ["six==1.16.0"]))
    asked = EnvironmentSpec.from_packages("tiny", ["six"])
    pin = EnvironmentPin(spec_digest=asked.digest, digest=older.digest, packages=older.packages, lock=older.text)
    write_pins(tmp_path / "dev.lock.json", Pins(environments={"tiny": pin}))
    described = {"name": "tiny", "packages": ["six"], "pins": "dev.lock.json"}
    assert lock(spec_from_inputs(described, tmp_path)).packages == {"six": "1.16.0"}
    # Something else is asked for: the pin is not its pin.
    described["packages"] = ["six>=1.17"]
    assert lock(spec_from_inputs(described, tmp_path)).packages["six"] != "1.16.0"
    assert lock(spec_from_inputs({"name": "other", "packages": ["six"], "pins": "gone.json"}, tmp_path)).packages
