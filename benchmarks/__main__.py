"""Run every benchmark, one after the other, and put all ratios into one table beside the committed ones.

Usage: `python -m benchmarks [MODULE…] [--output FILE] [--accept]`. Ends with 1 when one failed, a ratio regressed, or
one that is committed was not measured. A benchmark that this machine cannot run is named and no failure.
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

MODULES = (
    "preview",
    "run",
    "fingerprint",
    "environment",
    "horovod",
    "docker",
    "image",
    "serving",
    "history",
    "kubernetes",
)


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
    asked = options.modules or MODULES
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmarks-") as folder:
        noted = {module: Path(folder) / f"{module}.jsonl" for module in asked}
        failed = [module for module in asked if not _run(module, noted[module])]
        measured = {module: entries for module, file in noted.items() if (entries := table.read(file))}
    skipped = [module for module in asked if module not in measured and module not in failed]
    committed = table.load_committed()
    lines = table.compare(measured, committed)
    text = table.render(lines, machine, failed, skipped)
    options.output.write_text(text)
    print(f"\n{text}\nwritten to {options.output}")
    if options.accept:
        table.commit(measured)
        return int(bool(failed))
    return int(bool(failed) or any(line.is_bad for line in lines))


def _run(module: str, noted: Path) -> bool:
    variables = {**os.environ, RESULTS: str(noted)}
    return (
        subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], env=variables, check=False).returncode == 0
        and noted.is_file()
    )


if __name__ == "__main__":
    sys.exit(main())
