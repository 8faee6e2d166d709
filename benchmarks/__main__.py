"""Run every benchmark, one after the other, and put all ratios into one table beside the committed ones.

Usage: `python -m benchmarks [MODULE…] [--output FILE] [--accept]`. Ends with 1 when one failed or a ratio regressed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import table
from benchmarks.machine import RESULTS, description

MODULES = ("preview", "run", "fingerprint", "environment", "horovod", "docker", "image", "serving", "history")


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description="All benchmarks, and one table of their ratios.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"{', '.join(MODULES)}; all when left out")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/latest.md"))
    parser.add_argument("--accept", action="store_true", help="commit to these ratios: write benchmarks/ratios.json")
    options = parser.parse_args()
    if unknown := set(options.modules) - set(MODULES):
        parser.error(f"there is no benchmark {sorted(unknown)[0]}: there is {', '.join(MODULES)}")
    # The load is that of before: the benchmarks are a load themselves.
    machine = description()
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmarks-") as folder:
        noted = Path(folder) / "noted.jsonl"
        failed = [module for module in options.modules or MODULES if not _run(module, noted)]
        entries = table.read(noted)
    committed = table.load_committed()
    text = table.render(entries, committed, machine, failed)
    options.output.write_text(text)
    print(f"\n{text}\nwritten to {options.output}")
    if options.accept:
        table.commit(entries)
    regressed = any(table.verdict(entry, committed.get(entry["what"])) == "REGRESSED" for entry in entries)
    return int(bool(failed) or (regressed and not options.accept))


def _run(module: str, noted: Path) -> bool:
    variables = {**os.environ, RESULTS: str(noted)}
    return subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], env=variables, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
