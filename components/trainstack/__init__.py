"""Trainstack: TensorFlow training as infrastructure.

```python
import trainstack as ts
```

`__init__.pyi` lists the public names. Each is loaded when it is first used, so that the command line and the
supervisor do not pay for Pulumi.
"""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path
from typing import Any


@functools.cache
def _modules() -> dict[str, str]:
    """Return the module of each public name."""
    stub = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    return {name: module for module, name in re.findall(r"^from (\S+) import (\w+) as \w+$", stub, re.MULTILINE)}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_modules())
    if name not in _modules():
        import difflib

        near = difflib.get_close_matches(name, list(_modules()), 1)
        advice = f": did you mean {near[0]!r}?" if near and not name.startswith("_") else ""
        raise AttributeError(f"module 'trainstack' has no attribute {name!r}{advice}")
    return getattr(importlib.import_module(_modules()[name]), name)


def __dir__() -> list[str]:
    return sorted(_modules())
