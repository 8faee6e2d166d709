"""Run every benchmark, one after the other; each prints its machine and its rows."""

from __future__ import annotations

import subprocess
import sys

MODULES = ("preview", "run", "fingerprint", "environment", "horovod", "docker", "image", "serving")

if __name__ == "__main__":
    codes = [
        subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], check=False).returncode for module in MODULES
    ]
    sys.exit(max(codes))
