"""Conda specifications: what uv takes of them, and what goes to micromamba or conda."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from trainstack.core.environments import conda
from trainstack.core.environments.conda_tool import create_command, specification_for_tool
from trainstack.core.environments.environment import EnvironmentSpec, build, find_damage, lock
from trainstack.errors import InvalidInputError, TrainstackError

PIP = {"pip": ["six==1.17.0"]}


def of(*dependencies: object, **more: Any) -> EnvironmentSpec:
    return EnvironmentSpec.from_conda({"name": "mine", "dependencies": list(dependencies), **more})


def test_the_usual_python_and_pip_list_need_no_conda() -> None:
    spec = of("python=3.11", "pip=24.0", PIP, channels=["conda-forge"])
    assert (spec.name, spec.python, spec.requirements, spec.conda_packages) == ("mine", "3.11", ("six==1.17.0",), ())


@pytest.mark.parametrize(
    ("dependency", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy==1.26.4", "numpy==1.26.4"),
        ("pandas>=1.5,<3", "pandas<3,>=1.5"),
        ("scikit-learn >=1.2", "scikit-learn>=1.2"),
    ],
)
def test_conda_packages_that_the_python_index_has_too_go_to_uv(dependency: str, requirement: str) -> None:
    assert of("python=3.11", dependency).requirements == (requirement,)


@pytest.mark.parametrize(
    "dependency", ["cudatoolkit=11.8", "numpy=1.26=py311h64a7726_0", "conda-forge::numpy", "numpy[version='>=1']"]
)
def test_native_package_sends_all_packages_to_conda(dependency: str) -> None:
    spec = of("python=3.11", "pandas=2.2", dependency, PIP)
    assert spec.conda_packages == tuple(sorted(["pandas=2.2", dependency]))
    assert spec.requirements == ("six==1.17.0",)


@pytest.mark.parametrize(
    ("dependency", "python"), [("python=3.10", "3.10"), ("python==3.10.4", "3.10.4"), ("python>=3.9", "3.11")]
)
def test_python_is_read_from_the_specification(dependency: str, python: str) -> None:
    assert of(dependency).python == python


def test_conda_variables_become_the_environments() -> None:
    assert of("python=3.11", variables={"OMP_NUM_THREADS": 1}).variables == {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("specification", "reason"),
    [
        ({"dependencies": ["python=3.11"]}, "has no name"),
        ({"name": "a", "dependencies": "numpy"}, "is not a list"),
        ({"name": "a", "dependencies": [{"npm": ["x"]}]}, "pip:"),
        ({"name": "a", "dependencies": ["python<3.9"]}, "no single Python"),
        ({"name": "a", "depends": []}, "'depends'"),
        ({"name": "a", "dependencies": [{"pip": ["-r requirements.txt"]}]}, "installer's option"),
    ],
)
def test_a_specification_that_is_none_is_refused_in_one_line(specification: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        EnvironmentSpec.from_conda(specification)


def test_a_file_that_is_no_yaml_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text("name: a\ndependencies: [\n")
    with pytest.raises(InvalidInputError, match=r"conda\.yml is not YAML at line 3"):
        EnvironmentSpec.from_conda_file(tmp_path / "conda.yml")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        EnvironmentSpec.from_conda_file(tmp_path / "none.yml")


def test_without_a_tool_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MAMBA_EXE", raising=False)
    monkeypatch.delenv("CONDA_EXE", raising=False)
    with pytest.raises(TrainstackError, match=r"cudatoolkit=11\.8 needs micromamba or conda"):
        lock(of("python=3.11", "cudatoolkit=11.8"))


def test_each_tool_gets_its_own_command() -> None:
    rest = ["--prefix", "/p", "--file", "/f.yaml"]
    assert create_command(Path("/bin/micromamba"), Path("/p"), Path("/f.yaml"))[1:] == ["create", "--yes", *rest]
    assert create_command(Path("/bin/conda"), Path("/p"), Path("/f.yaml"))[1:] == ["env", "create", *rest]


def test_the_tool_gets_the_specification_without_its_pip_list() -> None:
    spec = of("python=3.11", "cudatoolkit=11.8", PIP, channels=["nvidia"])
    parts = conda.split_specification(spec.conda or {})
    assert specification_for_tool(spec.python, parts.native, parts.channels) == (
        "channels:\n- nvidia\ndependencies:\n- python=3.11\n- cudatoolkit=11.8\n"
    )


def test_uv_installs_the_pip_list_into_the_conda_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # No registry of ours has micromamba, so a stand-in makes the folder; what is tested is everything around it.
    tool = tmp_path / "bin" / "micromamba"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho "$@" > "{tmp_path}/arguments"\nexec "{sys.executable}" -m venv "$4" --without-pip\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tool.parent))
    spec = of(f"python=3.{sys.version_info.minor}", "cudatoolkit=11.8", PIP)
    locked = lock(spec)
    built = build(spec, locked)
    prefix, specification = built.folder / "venv", built.folder / "conda.yaml"
    assert (tmp_path / "arguments").read_text() == f"create --yes --prefix {prefix} --file {specification}\n"
    assert list(prefix.glob("lib/python3*/site-packages/six.py"))
    assert find_damage(built) is None
    assert locked.digest != lock(of("python=3.11", PIP)).digest
