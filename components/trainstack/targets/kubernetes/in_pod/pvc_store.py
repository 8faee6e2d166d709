"""Works on a volume claim with what runs read and outputs that are not fetched yet: `pvc_store.py NAME VERB PATH …`.

NAME is the claim's, for what is said of it. The verbs, PATH being a folder or file of it:
`missing FOLDER`: standard input is a line of JSON, a list of digests; says which are not there, the others are in use.
`put FOLDER DIGEST BYTES`: so many bytes of standard input become the file DIGEST.
`journals FOLDER`: says which there are, with their sizes. `read FILE`: says what is in it. `remove FOLDER`.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

_DAY = 24 * 3600
_UNUSED_SECONDS = 30 * _DAY
_ASIDE_SECONDS = _DAY
_CHUNK = 1 << 20


def missing(folder: Path) -> None:
    """Say which content is not there, and whether any can be put there."""
    line = bytearray()
    while not line.endswith(b"\n"):
        data = os.read(0, 1 << 16)
        if not data:
            sys.exit("no list of digests on standard input")
        line += data
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    absent: list[str] = []
    for digest in json.loads(line):
        try:
            os.utime(folder / digest)
        except FileNotFoundError:
            absent.append(digest)
    print(json.dumps(absent), flush=True)


def put(folder: Path, digest: str, size: str) -> None:
    """Write standard input to a temporary file, and rename it when its digest is right."""
    make_room(folder)
    descriptor, name = tempfile.mkstemp(prefix=".", dir=folder)
    temporary, content_hash, remaining = Path(name), hashlib.sha256(), int(size)
    try:
        with os.fdopen(descriptor, "wb") as file:
            while remaining:
                data = os.read(0, min(remaining, _CHUNK))
                if not data:
                    sys.exit("the stream was cut off")
                remaining -= len(data)
                content_hash.update(data)
                file.write(data)
            file.flush()
            os.fsync(descriptor)
        if content_hash.hexdigest() != digest:
            sys.exit("a file of the run was changed while it was sent: start it again")
        temporary.replace(folder / digest)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    within = os.open(folder, os.O_RDONLY)
    os.fsync(within)
    os.close(within)
    print("stored", flush=True)


def make_room(folder: Path) -> None:
    """Remove what no run has used for long, and what a killed pod has left half-written."""
    for path in folder.iterdir():
        limit = _ASIDE_SECONDS if path.name.startswith(".") else _UNUSED_SECONDS
        # Another pod may be doing the same.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > limit:
                path.unlink()


def journals(folder: Path) -> None:
    """Say which there are."""
    print(json.dumps({path.name: path.stat().st_size for path in folder.glob("*.tar")}), flush=True)


def read(path: Path) -> None:
    """Say what is in a file."""
    with path.open("rb") as file, open(1, "wb", closefd=False) as out:
        shutil.copyfileobj(file, out, _CHUNK)


def remove(folder: Path) -> None:
    """Remove a folder; what a pod still has open in it that one removes itself."""
    shutil.rmtree(folder, ignore_errors=True)
    print("removed", flush=True)


def main() -> None:
    """Do it, and say in one line what the claim does not let us do."""
    name, verb, path, *rest = sys.argv[1:]
    try:
        {"missing": missing, "put": put, "journals": journals, "read": read, "remove": remove}[verb](Path(path), *rest)
    except PermissionError as exc:
        sys.exit(
            f"claim {name} cannot be written by user {os.getuid()}, group {os.getgid()} ({exc.strerror}): take storage "
            "that honours fsGroup, or give the root of its volume to that group"
        )
    except OSError as exc:
        sys.exit(f"claim {name}: {exc.strerror}: look after its volume, or make it larger")


if __name__ == "__main__":
    main()
