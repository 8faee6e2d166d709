"""What the launcher of an MPIJob runs in a worker: starts its node, and stays until that has ended.

`worker_start.py FOLDER ENDED`. Makes `go` in FOLDER, waits for the file ENDED, which holds the agent's exit code, makes
`exit-code-read`, and ends with that code.
"""

import os
import sys
import time

_PAUSE = 0.2


def main() -> int:
    """Start it and wait; gives its exit code."""
    folder, ended = sys.argv[1:3]
    with open(os.path.join(folder, "go"), "wb"):  # noqa: PTH118, PTH123
        pass
    while not os.path.exists(ended):  # noqa: PTH110
        time.sleep(_PAUSE)
    with open(ended) as file:  # noqa: PTH123
        code = int(file.read())
    with open(os.path.join(folder, "exit-code-read"), "wb"):  # noqa: PTH118, PTH123
        return code


if __name__ == "__main__":
    sys.exit(main())
