"""A package index on this machine: wheels made anew from what is installed, so that installers need no network."""

import functools
import http.server
import re
import threading
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_WRITTEN_AT_INSTALL = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def closure(*requirements):
    """The installed distributions that requirements lead to, with their extras, by normal name."""
    found, waiting = {}, [Requirement(text) for text in requirements]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), requirement.extras or {""}
        if all((name, extra) in seen for extra in extras):
            continue
        seen |= {(name, extra) for extra in extras}
        found[name] = metadata.distribution(name)
        for text in found[name].requires or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {*extras, ""}):
                waiting.append(needed)
    return found


def repack(distribution, folder):
    """Write the wheel that an installed distribution came from, or one that installs the same."""
    name = re.sub(r"[-_.]+", "_", distribution.name)
    head = f"{name}-{distribution.version}"
    tags = [line[5:].split("-") for line in distribution.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
    tag = "-".join(".".join(sorted(set(part))) for part in zip(*tags, strict=True))
    starts = {entry.name for entry in distribution.entry_points if entry.group.endswith("_scripts")}
    files = [PurePosixPath(file) for file in distribution.files or []]
    record = next(file for file in files if file.name == "RECORD")
    with zipfile.ZipFile(folder / f"{head}-{tag}.whl", "w") as wheel:
        for file in files:
            inside, source = file, Path(str(distribution.locate_file(file)))
            if file.parts[0] == "..":
                # Scripts: those of entry points are made anew, programs are kept.
                if file.parent.name != "bin" or file.name in starts:
                    continue
                inside = PurePosixPath(f"{head}.data/scripts/{file.name}")
            elif file.suffix == ".pyc" or (file.parent == record.parent and file.name in _WRITTEN_AT_INSTALL):
                continue
            if source.is_file():
                wheel.write(source, str(inside))
        wheel.writestr(str(record), "".join(f"{entry},,\n" for entry in [*wheel.namelist(), str(record)]))


def stub(name, folder):
    """Write a wheel of version 0 with nothing in it."""
    head = f"{name}-0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{head}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
        wheel.writestr(
            f"{head}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{head}/RECORD", "".join(f"{head}/{name},,\n" for name in ("METADATA", "WHEEL", "RECORD")))


def write_index(folder, wheels):
    """Lay out an index as PEP 503 has it; returns what serves it."""
    for wheel in wheels:
        name = canonicalize_name(wheel.name.split("-")[0])
        (folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        (folder / "simple" / name / wheel.name).symlink_to(wheel)
    for page in (folder / "simple").iterdir():
        links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in page.iterdir())
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Installers read the end of a wheel and hang up."""


def serve(folder):
    """Serve a folder on the loopback; returns the server and the address of its index."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/simple/"
