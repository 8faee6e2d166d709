"""Read conda specifications, and say which part uv installs and which only conda has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from trainstack.core.environments.requirements import checked_requirement
from trainstack.errors import InvalidInputError

# Conda packages that are the same project under the same name on the Python package index, so that no conda is
# needed for them. Those that bring other things along under conda (pytorch, opencv, cudatoolkit, …) are not here.
SAME_ON_INDEX = frozenset(
    {
        "absl-py",
        "click",
        "cloudpickle",
        "cython",
        "dask",
        "flask",
        "fsspec",
        "future",
        "h5py",
        "horovod",
        "ipykernel",
        "ipython",
        "jinja2",
        "joblib",
        "jupyter",
        "jupyterlab",
        "keras",
        "lightgbm",
        "matplotlib",
        "mlflow",
        "mlflow-skinny",
        "networkx",
        "nltk",
        "notebook",
        "numpy",
        "optuna",
        "packaging",
        "pandas",
        "pillow",
        "protobuf",
        "psutil",
        "pyarrow",
        "pydantic",
        "pyyaml",
        "requests",
        "scikit-image",
        "scikit-learn",
        "scipy",
        "seaborn",
        "setuptools",
        "six",
        "statsmodels",
        "sympy",
        "tensorboard",
        "tensorflow",
        "tensorflow-cpu",
        "tensorflow-datasets",
        "tensorflow-hub",
        "tensorflow-probability",
        "tf-keras",
        "threadpoolctl",
        "tqdm",
        "typing-extensions",
        "wheel",
        "xgboost",
    }
)
_DEPENDENCY = re.compile(r"(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)\s*(?P<version>[^\[]*)")
_VERSION = r"[0-9][0-9A-Za-z.!+]*(?:\.\*|\*)?"
_COMPARISON = re.compile(rf"(?P<operator>==|=|!=|<=|>=|<|>|~=|)\s*(?P<version>{_VERSION})")


@dataclass(frozen=True)
class CondaParts:
    """A conda specification by who installs what.

    Attributes:
        python: Its Python version, None where it does not say.
        requirements: PEP 508 lines for uv: the pip list, and conda packages that the Python index has too.
        native: Conda packages as written, for micromamba or conda. When there are any, every conda package is here.
        channels: Where the native ones come from, in order.
    """

    python: str | None
    requirements: tuple[str, ...]
    native: tuple[str, ...]
    channels: tuple[str, ...]


def read_file(path: Path) -> dict[str, Any]:
    """Read a conda specification in YAML.

    Raises:
        InvalidInputError: The file is missing or not a YAML mapping.
    """
    import yaml

    try:
        specification = yaml.safe_load(path.read_text("utf-8-sig"))
    except OSError as exc:
        raise InvalidInputError(
            f"conda specification {path} cannot be read ({exc.strerror}): check its path", field="conda"
        ) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        where = getattr(exc, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise InvalidInputError(f"conda specification {path} is not YAML{line}: correct it", field="conda") from exc
    if not isinstance(specification, dict):
        raise InvalidInputError(f"conda specification {path} is not a mapping: see docs/environments.md", field="conda")
    return cast("dict[str, Any]", specification)


def split_specification(specification: Mapping[str, Any]) -> CondaParts:
    """Split a conda specification.

    Raises:
        InvalidInputError: A dependency cannot be read.
    """
    unknown = set(specification) - {"name", "channels", "dependencies", "variables", "prefix"}
    if unknown:
        raise InvalidInputError(
            f"conda specification has an unknown key {sorted(unknown)[0]!r}: it takes name, channels, dependencies "
            "and variables",
            field="conda",
        )
    python: str | None = None
    pip, translated, native, written = list[str](), list[str](), list[str](), list[str]()
    for dependency in _sequence(specification, "dependencies"):
        if isinstance(dependency, dict):
            pip += map(checked_requirement, _pip_list(cast("dict[str, Any]", dependency)))
            continue
        text = str(dependency).strip()
        name, version = _split(text)
        if name == "python":
            python = _python(text, version)
            continue
        if name == "pip":
            continue
        written.append(text)
        requirement = _translated(name, version) if name in SAME_ON_INDEX and "[" not in text else None
        if requirement is None:
            native.append(text)
        else:
            translated.append(requirement)
    channels = tuple(str(channel) for channel in _sequence(specification, "channels"))
    # With one native package conda resolves them all together, or two tools would fight over numpy.
    pip_requirements = pip if native else pip + translated
    return CondaParts(python, tuple(sorted(set(pip_requirements))), tuple(sorted(written)) if native else (), channels)


def pip_lines(specification: Mapping[str, Any]) -> list[str]:
    """Lines of the nested `pip:` list, as they are written.

    Raises:
        InvalidInputError: The list is not readable.
    """
    lines: list[str] = []
    for dependency in _sequence(specification, "dependencies"):
        if isinstance(dependency, dict):
            lines += _pip_list(cast("dict[str, Any]", dependency))
    return lines


def with_pip_lines(specification: Mapping[str, Any], lines: list[str]) -> dict[str, Any]:
    """The specification with other lines in its `pip:` list."""
    conda = [dependency for dependency in _sequence(specification, "dependencies") if not isinstance(dependency, dict)]
    return {**specification, "dependencies": [*conda, *([{"pip": lines}] if lines else [])]}


def specification_variables(specification: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables that a conda specification sets.

    Raises:
        InvalidInputError: They are not a mapping.
    """
    mapping = cast("object", specification.get("variables") or {})
    if not isinstance(mapping, dict):
        raise InvalidInputError("conda specification's variables are not a mapping: write NAME: value", field="conda")
    return {str(name): str(value) for name, value in cast("dict[Any, Any]", mapping).items()}


def specification_text(specification: Mapping[str, Any]) -> str:
    """Return a conda specification as YAML, its keys in the order that they have."""
    import yaml

    return yaml.safe_dump(dict(specification), sort_keys=False)


def _sequence(specification: Mapping[str, Any], key: str) -> list[Any]:
    entries = cast("object", specification.get(key) or [])
    if not isinstance(entries, list | tuple):
        raise InvalidInputError(f"conda specification's {key} is not a list: put a '-' before each", field="conda")
    return list(cast("list[Any]", entries))


def _pip_list(dependency: dict[str, Any]) -> list[str]:
    lines = dependency.get("pip")
    if set(dependency) != {"pip"} or not isinstance(lines, list):
        raise InvalidInputError(
            f"conda dependency {dependency} is not readable: only a nested 'pip:' list may stand there", field="conda"
        )
    return [str(line) for line in cast("list[Any]", lines)]


def _split(text: str) -> tuple[str, str]:
    match = _DEPENDENCY.match(text.rpartition("::")[2])
    if match is None:
        raise InvalidInputError(f"conda dependency {text!r} is not readable: write it like numpy=1.26", field="conda")
    # A channel before the name (`conda-forge::numpy`) asks for conda's own build of it.
    name = match["name"].lower()
    if (alike := name.replace("_", "-")) in SAME_ON_INDEX:
        name = alike
    return (f"::{name}" if "::" in text else name), match["version"].strip()


def _without_build(version: str) -> str:
    """`=3.11.7=hab00c5b_0_cpython`, as `conda env export` writes it, without the build."""
    return re.sub(rf"^(==?\s*{_VERSION})=[A-Za-z0-9_.]+$", r"\1", version)


def _translated(name: str, version: str) -> str | None:
    """Return conda's `numpy=1.26` in PEP 508's words, None where that cannot say it (builds, alternatives)."""
    if not version:
        return name
    clauses: list[str] = []
    for clause in version.split(","):
        comparison = _COMPARISON.fullmatch(clause.strip())
        if comparison is None:
            return None
        operator, number = comparison["operator"], comparison["version"]
        bare = number.rstrip("*").rstrip(".")
        if operator in ("", "==") and bare == number:
            clauses.append(f"=={number}")
        elif operator in ("=", "==", ""):
            clauses.append(f"=={bare}.*")
        elif operator == "!=" or bare == number:
            clauses.append(f"{operator}{number}")
        else:
            clauses.append(f"{operator}{bare}")
    return checked_requirement(f"{name}{','.join(clauses)}")


def _python(text: str, version: str) -> str | None:
    if not version:
        return None
    from packaging.specifiers import SpecifierSet

    version = _without_build(version)
    exact = re.fullmatch(r"=?=?\s*(\d+(?:\.\d+){1,2})(?:\.\*|\*)?", version)
    if exact:
        return exact[1]
    translated = _translated("python", version)
    if translated is not None and SpecifierSet(translated.removeprefix("python")).contains("3.11"):
        return None
    raise InvalidInputError(f"conda dependency {text!r} names no single Python: write python=3.11", field="python")
