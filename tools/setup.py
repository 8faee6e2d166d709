"""Make a checkout ready to use: `python3.11 tools/setup.py`, which is what `make setup` runs.

Only the standard library, because nothing is installed yet. This file alone must parse on old Pythons, so that
they get one clear line instead of a syntax error.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (whoever starts this has not been checked by any installer)
    sys.exit(
        "error: Trainstack needs Python 3.11 or newer, and {} is {}.{}; install one, "
        "or name it: make PYTHON=/path/to/python3.11".format(sys.executable, *sys.version_info)
    )

from bootstrap.main import main

if __name__ == "__main__":
    sys.exit(main())
