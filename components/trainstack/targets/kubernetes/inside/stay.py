"""First process of a courier: keeps the pod until everything is home.

`stay.py FOLDER SECONDS`. It ends well when `home` appears in FOLDER, and gives up when nobody has touched `heard` there
for SECONDS. Asked to end it stays as long as the cluster lets it: what a node saves in its grace period is yet to go.
"""

import os
import signal
import sys
import time


def main() -> int:
    """Wait; gives the exit code."""
    folder, seconds = sys.argv[1], float(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    seen, since = None, time.monotonic()
    while not os.path.exists(os.path.join(folder, "home")):  # noqa: PTH110, PTH118
        try:
            now = os.stat(os.path.join(folder, "heard")).st_mtime_ns  # noqa: PTH116, PTH118
        except OSError:
            now = None
        if now != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > seconds:
            print("trainstack: nobody came for what this pod holds", file=sys.stderr, flush=True)
            return 3
        time.sleep(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
