"""Make a checkout ready to use: `python3.11 tools/setup.py`, which is what `make setup` runs.

Only the standard library, because nothing is installed yet. This file alone must parse on old Pythons, so that
they get one clear line instead of a syntax error.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "error: Trainstack needs Python 3.11 or newer, and %s is %d.%d; install one, or name it: make PYTHON=/path/to/python3.11"
        % (sys.executable, sys.version_info[0], sys.version_info[1])
    )

from bootstrap.main import main  # noqa: E402 (only once the version is known to do)

if __name__ == "__main__":
    sys.exit(main())
