"""Lock the curated environments again, with the newest versions that their `environment.json` allows.

Usage: python -m trainstack.core.environments.curated [NAME …]
"""

from __future__ import annotations

import sys

from trainstack.core.environments.curated import read_specification
from trainstack.core.environments.curated_names import CURATED_PREFIX, FOLDER, curated_names
from trainstack.core.environments.lock import resolve
from trainstack.core.environments.requirements import read_lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.errors import TrainstackError
from trainstack.storage.atomic import write_bytes

# No environments, only locks: what Horovod's own build needs beside TensorFlow, and what installs packages in images.
_TOOLS = {
    "horovod-build": ("cmake==3.31.10", "packaging", "setuptools", "wheel"),
    "installer": ("uv",),
}


def main(names: list[str]) -> None:
    """Write the lock of each named environment, of all when none is named."""
    for name in names or [*curated_names(), *_TOOLS]:
        short = name.removeprefix(CURATED_PREFIX)
        if short in _TOOLS:
            spec = EnvironmentSpec.from_packages(short, _TOOLS[short])
            target = FOLDER / f"{short}.lock"
        else:
            spec = EnvironmentSpec.model_validate(read_specification(short))
            target = FOLDER / short / "requirements.lock"
        text = resolve(spec)
        write_bytes(target, text.encode())
        print(f"{spec.name}: {len(read_lock(text))} packages locked")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TrainstackError as exc:
        sys.exit(str(exc))
