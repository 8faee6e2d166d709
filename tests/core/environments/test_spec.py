"""What an environment is, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainstack.core.environments.environment import EnvironmentSpec, clone
from trainstack.errors import InvalidInputError


def refused(field: str = "", **given: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        EnvironmentSpec.model_validate({"name": "mine", **given})
    assert "\n" not in str(caught.value)
    assert caught.value.field == field
    return str(caught.value)


def test_order_spelling_and_repetition_of_packages_are_ignored() -> None:
    one = EnvironmentSpec.from_packages("one", ["Six >= 1.16", "itsdangerous==2.2.0"])
    two = EnvironmentSpec.from_packages("two", ["itsdangerous==2.2.0", "six>=1.16", "six>=1.16"])
    assert one.packages == two.packages
    assert one.digest == two.digest


def test_digest_covers_python_not_name_or_variables() -> None:
    spec = EnvironmentSpec.from_packages("one", ["six"])
    assert EnvironmentSpec.from_packages("two", ["six"], variables={"A": "1"}).digest == spec.digest
    assert EnvironmentSpec.from_packages("one", ["six"], python="3.12").digest != spec.digest


def test_the_curated_prefix_is_refused_to_others() -> None:
    assert "belongs to curated environments" in refused("name", name="trainstack-mine")


@pytest.mark.parametrize("python", ["3", "2.7", "3.x", "latest", "3.6.2", ""])
def test_a_python_version_that_is_none_is_refused(python: str) -> None:
    assert repr(python) in refused("python", python=python)


@pytest.mark.parametrize(
    "line", ["numpy=1.26", "six 1", "== 2", "--index-url https://x", "six @ git+https://x/six.git", "a @ file:///a.whl"]
)
def test_a_line_that_is_no_package_is_refused(line: str) -> None:
    assert line.split()[0] in refused("packages", packages=[line])


def test_packages_and_conda_together_are_refused() -> None:
    assert "not both" in refused("packages", packages=["six"], conda={"dependencies": ["pip"]})


def test_wrong_types_and_unknown_fields_are_one_line() -> None:
    assert "packages" in refused("packages", packages="six")
    assert "packages" in refused("packages", packages=5)
    assert "channel" in refused("channel", channel="x")


def test_a_variable_that_no_shell_takes_is_refused() -> None:
    assert "A-B" in refused("variables", variables={"A-B": "1"})


@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        ("six==1.17.0\n", "has no sha256 hash"),
        (f"six>=1 --hash=sha256:{'0' * 64}\n", "does not pin one version"),
        (f"--index-url https://x\nsix==1 --hash=sha256:{'0' * 64}\n", "installer's option"),
    ],
)
def test_a_lock_that_is_none_is_refused(lock: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        EnvironmentSpec(name="mine", lock=lock)


def test_requirements_file_with_comments_and_includes(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("itsdangerous==2.2.0  # signing\n")
    (tmp_path / "requirements.txt").write_text("# ours\n-r base.txt\nsix \\\n    >=1.16\n\n")
    spec = EnvironmentSpec.from_requirements_file(tmp_path / "requirements.txt", name="mine")
    assert spec.packages == ("itsdangerous==2.2.0", "six>=1.16")
    assert spec.lock is None


def test_a_requirements_file_with_hashes_is_its_own_lock(tmp_path: Path) -> None:
    (tmp_path / "locked.txt").write_text(
        f"six==1.17.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"
    )
    spec = EnvironmentSpec.from_requirements_file(tmp_path / "locked.txt")
    assert spec.name == "locked"
    assert spec.packages == ("six==1.17.0",)
    assert spec.lock is not None
    assert spec.lock.count("--hash=sha256:") == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [("-e .\n", "a folder on this machine"), ("-r requirements.txt\n", "includes itself"), ("-r no.txt\n", "no.txt")],
)
def test_a_requirements_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "requirements.txt").write_text(text)
    with pytest.raises(InvalidInputError, match=reason):
        EnvironmentSpec.from_requirements_file(tmp_path / "requirements.txt")


def test_a_clone_has_the_same_lock_under_its_own_name() -> None:
    lock = f"six==1.17.0 --hash=sha256:{'0' * 64}\n"
    spec = EnvironmentSpec(name="mine", packages=("six",), lock=lock, variables={"A": "1"})
    copy = clone(spec, "yours")
    assert (copy.name, copy.packages, copy.lock, copy.variables) == ("yours", spec.packages, lock, {"A": "1"})


def test_a_clone_with_more_packages_is_locked_anew() -> None:
    lock = f"six==1.17.0 --hash=sha256:{'0' * 64}\n"
    copy = clone(EnvironmentSpec(name="mine", packages=("six",), lock=lock), "yours", add=["itsdangerous"])
    assert copy.packages == ("itsdangerous", "six")
    assert copy.lock is None
