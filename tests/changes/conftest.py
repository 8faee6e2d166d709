"""A finished stack that each test copies, and the web server that its remote dataset comes from."""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.changes.example import FILES
from tests.changes.program_host import ProgramHost, program_host
from tests.changes.stack import Stack
from tests.end_to_end.project import Project, new_project


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def website(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is served; one folder below it belongs to each test."""
    folder = tmp_path_factory.mktemp("web")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, website: tuple[Path, str]) -> Project:
    """The example, trained once."""
    folder, address = website
    (folder / "page.txt").write_text("a page\n")
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    for name, text in FILES.items():
        project.write(name, text.replace("WEB", address))
    project.up()
    return project


@pytest.fixture(scope="session")
def host() -> Iterator[ProgramHost]:
    with program_host() as host:
        yield host


@pytest.fixture
def stack(
    finished: Project,
    website: tuple[Path, str],
    host: ProgramHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Stack:
    """A copy of the finished stack, to change."""
    root = tmp_path / "project"
    shutil.copytree(finished.root, root, symlinks=True)
    monkeypatch.chdir(tmp_path)
    # The provider takes the engine's address from there.
    monkeypatch.setattr(sys, "argv", sys.argv)
    return Stack(Project(root, {"PULUMI_STACK": "test"}), website[0], host=host)
