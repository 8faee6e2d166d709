"""First process of a sidecar: keeps the pod until all outputs are fetched.

`sidecar.py FOLDER SECONDS WRITTEN [JOURNAL]`. It ends with code 0 when `synced` appears in FOLDER, and gives up when
nobody has touched `heartbeat` there for SECONDS. On SIGTERM it stays as long as the cluster lets it, once WRITTEN was
received: what a node saves in its grace period is yet to be sent. With JOURNAL, a file on a volume that outlives the
pod: when nobody has fetched outputs for a while they are written there as well, from then on until all are fetched.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_QUIET_SECONDS = 8.0
_AGAIN_SECONDS = 10.0


class Journal:
    """What keeps a journal, begun when it is needed, and again when it fails."""

    def __init__(self, written: str, path: str = "") -> None:
        """Keep what is in `written` in `path`; nowhere when left out."""
        self.written, self.path = written, path
        self.process: subprocess.Popen[bytes] | None = None
        self.not_before = 0.0

    def see_to_it(self, quiet: bool) -> None:
        """Have it written, once the node has begun to work. One that fails while somebody listens is needed no more."""
        if self.process is not None and self.process.poll() is not None and not quiet:
            self.end()
        if self.process is None and not quiet:
            return
        if not self.path or time.monotonic() < self.not_before:
            return
        if self.process is None and not self.begun():
            self.not_before = time.monotonic() + 1.0
        elif self.process is None or self.process.poll() is not None:
            command = [sys.executable, "-m", "trainstack.agent.transfer.journal", self.written, self.path]
            self.process = subprocess.Popen(command)
            self.not_before = time.monotonic() + _AGAIN_SECONDS

    def end(self) -> None:
        """All outputs are fetched: nobody needs it any more."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None
        path = Path(self.path)
        for each in (path, path.with_suffix(".new")):
            with contextlib.suppress(OSError):
                each.unlink()
        # The last of the run's.
        with contextlib.suppress(OSError):
            path.parent.rmdir()

    def begun(self) -> bool:
        """Whether the node has written anything since its inputs were received, the last of which is a list."""
        if (received := inputs_received_at(self.written)) is None:
            return False
        for folder, _, names in os.walk(self.written):
            for name in names:
                try:
                    if Path(folder, name).lstat().st_ctime_ns > received:
                        return True
                except OSError:
                    continue
        return False


def inputs_received_at(written: str) -> "int | None":
    """When all inputs were received; none before."""
    try:
        return Path(written, ".output-sender", "initial.json").stat().st_ctime_ns
    except OSError:
        return None


def main() -> int:
    """Wait; gives the exit code."""
    folder, seconds = sys.argv[1], float(sys.argv[2])
    journal = Journal(*sys.argv[3:])
    signals: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: signals.append(number))
    last_heartbeat, since = None, time.monotonic()
    while not os.path.exists(os.path.join(folder, "synced")):  # noqa: PTH110, PTH118
        try:
            latest = os.stat(os.path.join(folder, "heartbeat")).st_mtime_ns  # noqa: PTH116, PTH118
        except OSError:
            latest = None
        if latest != last_heartbeat:
            last_heartbeat, since = latest, time.monotonic()
        if signals and inputs_received_at(journal.written) is None:
            return 128 + signals[0]
        if time.monotonic() - since > seconds:
            print("trainstack: nobody has fetched the outputs of this pod", file=sys.stderr, flush=True)
            return 3
        journal.see_to_it(time.monotonic() - since > _QUIET_SECONDS)
        time.sleep(0.2)
    journal.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
