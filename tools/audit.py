"""Look up every package of every lock in the OSV database of known vulnerabilities: `make audit`.

`make lint` shows the same with `--advise` and fails by none of it: a vulnerability that is published tonight is no
fault of the change at hand, and where the database is out of reach nothing can be said. The workflow `audit.yml` fails.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATABASE = os.environ.get("OSV_URL", "https://api.osv.dev/v1/query")
# "name==1.2.3", the first line of a locked package.
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)

Pin = tuple[str, str]


def locked(root: Path) -> dict[Pin, list[str]]:
    """Every package and version of the checkout's locks, with the locks that have it."""
    names = ("*requirements*.lock", "components/**/*.lock")
    locks = sorted({lock for name in names for lock in root.glob(name)})
    packages: dict[Pin, list[str]] = {}
    for lock in locks:
        for pin in _PIN.findall(lock.read_text(encoding="utf-8")):
            packages.setdefault(pin, []).append(str(lock.relative_to(root)))
    return packages


def known_vulnerabilities(packages: list[Pin]) -> list[dict[str, Any]]:
    """What pip-audit says of them, a dictionary a package, as its `--format json` has it.

    Raises:
        ConnectionError: The database does not answer, with the last line of what pip-audit says.
    """
    with tempfile.TemporaryDirectory() as folder:
        # A package may have several versions in several locks, of which one file of requirements takes one.
        files: defaultdict[int, list[str]] = defaultdict(list)
        count: Counter[str] = Counter()
        for name, version in packages:
            files[count[name]].append(f"{name}=={version}\n")
            count[name] += 1
        command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
        command += ["--disable-pip", "--no-deps", "--vulnerability-service", "osv", "--osv-url", DATABASE]
        audited: list[dict[str, Any]] = []
        for number, lines in files.items():
            path = Path(folder) / f"{number}.txt"
            path.write_text("".join(lines), encoding="utf-8")
            answer = subprocess.run([*command, "--requirement", path], capture_output=True, text=True, check=False)
            try:
                audited += json.loads(answer.stdout)["dependencies"]
            except (ValueError, KeyError):
                raise ConnectionError((answer.stderr.strip() or "no answer").splitlines()[-1]) from None
    return audited


def audit(packages: dict[Pin, list[str]]) -> list[str]:
    """A line for each known vulnerability of locked packages: package, its name, the cure, the locks."""
    lines: list[str] = []
    for package in known_vulnerabilities(sorted(packages)):
        name, version = package["name"], package["version"]
        for vulnerability in package["vulns"]:
            fixes = " or ".join(vulnerability["fix_versions"])
            cure = f"upgrade to {fixes}" if fixes else "no fix yet"
            lines.append(f"{name} {version}: {vulnerability['id']}, {cure} ({', '.join(packages[name, version])})")
    return lines


def main(arguments: list[str]) -> int:
    """Say what is known. Ends with 1 if anything is, or if the database is out of reach, unless told to `--advise`."""
    advise = "--advise" in arguments
    packages = locked(ROOT)
    try:
        lines = audit(packages)
    except ConnectionError as error:
        print(f"audit: {len(packages)} locked packages were not looked up, because {DATABASE} does not answer ({error})")
        return 0 if advise else 1
    for line in lines:
        print(f"audit: {line}")
    print(f"audit: {len(packages)} locked packages, {len(lines)} known vulnerabilities")
    return 0 if advise or not lines else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
