"""Requirements files, read as pip and uv read them."""

from __future__ import annotations

import codecs
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from trainstack.core.environments.lock import lock
from trainstack.core.environments.requirements_file import read_requirements_file
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.environments.uv_command import uv
from trainstack.errors import InvalidInputError

HASHED = (
    "six==1.17.0 \\\n    --hash=sha256:" + "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274" + "\n"
)
WHEEL = "https://files.example.org/packages/six-1.17.0-py2.py3-none-any.whl"

# Files as people and tools write them, with the requirements that they come to.
FILES = {
    "plain": (b"idna==3.10\nsix==1.17.0\n", ["idna==3.10", "six==1.17.0"]),
    "no line end at the end": (b"idna==3.10\nsix==1.17.0", ["idna==3.10", "six==1.17.0"]),
    "line ends of Windows": (b"idna==3.10\r\nsix==1.17.0\r\n", ["idna==3.10", "six==1.17.0"]),
    "backslash ends a comment": (b"idna==3.10\n# C:\\wheels\\\nsix==1.17.0\n", ["idna==3.10", "six==1.17.0"]),
    "comment between continued lines": (b"idna==3.10 \\\n# why\nsix==1.17.0\n", ["idna==3.10", "six==1.17.0"]),
    "comments at the end of lines": (b"idna==3.10 # names\nsix==1.17.0  # both\n", ["idna==3.10", "six==1.17.0"]),
    "hash sign in an address": (b"six @ " + WHEEL.encode() + b"#sha256=ff70\n", [f"six @ {WHEEL}#sha256=ff70"]),
    "continued requirement": (b"idna \\\n  ==3.10\nsix==1.17.0\n", ["idna ==3.10", "six==1.17.0"]),
    "continuation at the end": (b"idna==3.10\nsix==1.17.0 \\\n", ["idna==3.10", "six==1.17.0"]),
    "blank lines and blanks": (b"\n\n  idna==3.10\t\n \nsix==1.17.0\n", ["idna==3.10", "six==1.17.0"]),
    "markers": (b"idna==3.10 ; python_version >= '3.8'\n", ["idna==3.10 ; python_version >= '3.8'"]),
    "extras": (b"requests[socks] >= 2.31\n", ["requests[socks] >= 2.31"]),
    "harmless options": (b"--prefer-binary\n--require-hashes\n--no-cache-dir\nsix==1.17.0\n", ["six==1.17.0"]),
    "mark of UTF-8": (codecs.BOM_UTF8 + b"six==1.17.0\n", ["six==1.17.0"]),
    "UTF-16 of PowerShell": (codecs.BOM_UTF16_LE + "six==1.17.0\r\n".encode("utf-16-le"), ["six==1.17.0"]),
    "UTF-16, big end first": (codecs.BOM_UTF16_BE + "six==1.17.0\n".encode("utf-16-be"), ["six==1.17.0"]),
    "coding comment": ("# -*- coding: latin-1 -*-\n# größer\nsix==1.17.0\n".encode("latin-1"), ["six==1.17.0"]),
    "bare address of a wheel": (f"{WHEEL}\n".encode(), [f"six @ {WHEEL}"]),
    "nothing but comments": (b"# nothing yet\n", []),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_to_its_requirements(name: str, tmp_path: Path) -> None:
    content, expected = FILES[name]
    (tmp_path / "requirements.txt").write_bytes(content)
    assert read_requirements_file(tmp_path / "requirements.txt").plain == expected


# What uv does not read and pip does: a requirement that goes on in the next line, options, other encodings.
PIP_ALONE = ("continued requirement", "continuation at the end", "harmless options", "coding comment")


@pytest.mark.parametrize(
    "name", [name for name, (raw, _) in FILES.items() if name not in PIP_ALONE and b"example.org" not in raw]
)
def test_uv_reads_the_same_requirements(name: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(FILES[name][0])
    command = [uv(), "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "requirements.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    theirs = {canonicalize_name(re.split(r"[\[=@ ;]", line)[0]) for line in done.stdout.splitlines()}
    ours = {
        canonicalize_name(Requirement(line).name)
        for line in read_requirements_file(tmp_path / "requirements.txt").plain
    }
    assert ours == theirs


@pytest.mark.parametrize("option", ["-r ", "-r", "--requirement=", "--requirement "])
def test_included_files_are_read_from_where_they_are(option: str, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text(f"six==1.17.0\n{option}more/dev.txt\n")
    (tmp_path / "more" / "dev.txt").write_text("-r base.txt\n")
    (tmp_path / "more" / "base.txt").write_text("idna==3.10\n")
    assert read_requirements_file(tmp_path / "requirements.txt").plain == ["six==1.17.0", "idna==3.10"]


def test_a_constraint_bounds_a_version_and_adds_no_package(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-c bounds.txt\nsix\n")
    (tmp_path / "bounds.txt").write_text("six<1.17\nidna==3.10\n")
    spec = EnvironmentSpec.from_requirements_file(tmp_path / "requirements.txt")
    assert spec.constraints == ("idna==3.10", "six<1.17")
    assert lock(spec, tmp_path / "cache").packages == {"six": "1.16.0"}


def test_hashes_make_the_file_its_own_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(HASHED)
    spec = EnvironmentSpec.from_requirements_file(tmp_path / "requirements.txt")
    assert spec.packages == ("six==1.17.0",)
    assert spec.lock is not None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-r requirements.txt", "includes itself"),
        ("-r missing.txt", "missing.txt cannot be read (No such file or directory)"),
        ("-r https://example.org/requirements.txt", "keep a copy beside it"),
        ("--index-url https://example.org/simple", "move it to the setting UV_DEFAULT_INDEX"),
        ("-i https://example.org/simple", "move it to the setting UV_DEFAULT_INDEX"),
        ("--extra-index-url=https://example.org/simple", "move it to the setting UV_INDEX"),
        ("-f ./wheels", "move it to the setting UV_FIND_LINKS"),
        ("-e .", "is a folder on this machine"),
        ("--editable=../mine", "is a folder on this machine"),
        ("./wheels/six.whl", "is a folder on this machine"),
        ("-e git+https://example.org/mine.git@v1#egg=mine", "is a repository"),
        ("git+ssh://git@example.org/mine.git", "is a repository"),
        ("six @ https://${TOKEN}@example.org/six.whl", "takes TOKEN from the shell"),
        ("--global-option=x", "an installer's option that Trainstack does not know"),
        ("https://example.org/download", "does not say which package it is"),
    ],
)
def test_what_other_machines_cannot_have_is_refused(line: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"six==1.17.0\n{line}\n")
    with pytest.raises(InvalidInputError) as refused:
        read_requirements_file(tmp_path / "requirements.txt")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_includes_in_a_conda_pip_list_are_read_beside_it(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("idna==3.10\n-c bounds.txt\n")
    (tmp_path / "bounds.txt").write_text("six<1.17\n")
    (tmp_path / "conda.yml").write_text(
        "name: x\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - -r requirements.txt\n  - six\n"
    )
    spec = EnvironmentSpec.from_conda_file(tmp_path / "conda.yml")
    assert spec.requirements == ("idna==3.10", "six")
    assert spec.constraints == ("six<1.17",)


def test_a_conda_export_keeps_its_names_and_builds(tmp_path: Path) -> None:
    exported = """name: base
channels: [conda-forge]
dependencies:
  - _libgcc_mutex=0.1=conda_forge
  - python=3.11.7=hab00c5b_0_cpython
  - numpy=1.26.4=py311h64a7726_0
  - typing_extensions=4.12.2=pyha770c72_0
  - pip:
      - absl-py==2.1.0
prefix: /opt/conda
"""
    (tmp_path / "environment.yml").write_text(exported)
    spec = EnvironmentSpec.from_conda_file(tmp_path / "environment.yml")
    assert spec.python == "3.11.7"
    assert spec.requirements == ("absl-py==2.1.0",)
    builds = ("_libgcc_mutex=0.1=conda_forge", "numpy=1.26.4=py311h64a7726_0", "typing_extensions=4.12.2=pyha770c72_0")
    assert spec.conda_packages == builds


def test_conda_names_with_underscores_are_found_on_the_index() -> None:
    spec = EnvironmentSpec.from_conda({"name": "x", "dependencies": ["typing_extensions=4.12.2"]})
    assert spec.requirements == ("typing-extensions==4.12.2.*",)
