"""Get the English text: the GNU Collaborative International Dictionary, 40 MB of definitions and quotations.

It is free software (GNU General Public License, version 2 or later) and comes with Debian and Ubuntu as `dict-gcide`.
Usage: `python programs/word2vec/fetch_text.py [--package FILE.deb]`; needs `apt-get` and `dpkg-deb`, the latter alone
for a package that you have got yourself. A text that is there already and whole is kept.
"""

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "dict-gcide"
VERSION = "0.48.5+nmu2"
DIGEST = "802beb667e1fb666203e750f1faea60d5c202ac5430c2083c4180494609f10a7"
TEXT = Path(__file__).parent / "data" / "gcide.dict"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(*command: str, cwd: Path) -> None:
    """Run a command, and end with its last line when it fails."""
    if shutil.which(command[0]) is None:
        sys.exit(f"error: {command[0]} is missing: run this on Debian or Ubuntu, and copy {TEXT.name} here")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        sys.exit(f"error: {' '.join(command)}: {said[-1] if said else f'exit code {done.returncode}'}")


def unpacked(package: str | None, folder: Path) -> Path:
    """Download the package unless one is given, and unpack the text in a folder."""
    if package is None:
        run("apt-get", "download", f"{PACKAGE}={VERSION}", cwd=folder)
        [package] = map(str, folder.glob("*.deb"))
    run("dpkg-deb", "--extract", str(Path(package).absolute()), "content", cwd=folder)
    text = folder / TEXT.name
    # dictzip's format is gzip's, with an index that nobody needs here.
    with gzip.open(folder / "content/usr/share/dictd/gcide.dict.dz") as packed, text.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return text


def main() -> None:
    """Get it, check it, put it where the program looks for it."""
    parser = argparse.ArgumentParser(description="Get the English text that word2vec learns from.")
    parser.add_argument("--package", help=f"a {PACKAGE} package got by yourself")
    options = parser.parse_args()
    if TEXT.is_file() and digest(TEXT) == DIGEST:
        print(f"{TEXT} is there already")
        return
    with tempfile.TemporaryDirectory() as folder:
        text = unpacked(options.package, Path(folder))
        found = digest(text)
        if found != DIGEST:
            sys.exit(f"error: {PACKAGE} {VERSION} holds another text (SHA-256 {found}, not {DIGEST})")
        TEXT.parent.mkdir(exist_ok=True)
        beside = TEXT.with_suffix(".partial")
        shutil.copyfile(text, beside)
        os.replace(beside, TEXT)  # noqa: PTH105 (atomic, and overwrites)
    print(f"{TEXT}: {TEXT.stat().st_size:,} bytes of {PACKAGE} {VERSION}")


if __name__ == "__main__":
    main()
