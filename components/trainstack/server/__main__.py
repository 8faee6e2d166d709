"""Start the server from its folder alone (`python …/serving --model-path …`), where Trainstack is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path


def _package() -> str:
    """Give this folder a package name of its own.

    Its parent is not put on `sys.path`: the names beside it are not this program's business.
    """
    if __package__:
        return __package__
    name = "trainstack_serving"
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return name


if __name__ == "__main__":
    module, arguments = (
        ("runtime.convert", sys.argv[2:]) if sys.argv[1:2] == ["convert"] else ("process.server", sys.argv[1:])
    )
    sys.exit(importlib.import_module(f"{_package()}.{module}").main(arguments))
