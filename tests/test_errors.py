"""The tree of errors is drawn whole, as it is."""

from __future__ import annotations

import importlib
import pkgutil
import re

import trainstack
from trainstack import errors


def drawn() -> dict[str, str]:
    """The parent of each error in the drawing."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─ ]*)(\w+Error)\b", line):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1] if depth else "Exception"
    return parents


def defined(error: type[Exception]) -> dict[str, str]:
    """The parent of each of the package's errors."""
    parents = {error.__name__: error.__bases__[0].__name__}
    for child in error.__subclasses__():
        parents |= defined(child) if child.__module__.startswith("trainstack.") else {}
    return parents


def test_the_tree_of_errors_is_drawn_whole() -> None:
    for module in pkgutil.walk_packages(trainstack.__path__, "trainstack."):
        if module.name.startswith("trainstack.core."):
            importlib.import_module(module.name)
    assert drawn() == defined(errors.TrainstackError)
