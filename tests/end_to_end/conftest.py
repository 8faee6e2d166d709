"""Projects and web servers of their own for the tests with the real engine."""

import functools
import http.server
import threading

import pytest
from tests.end_to_end.project import new_project


@pytest.fixture
def project(tmp_path):
    created = new_project(tmp_path / "project")
    yield created
    created.pulumi("destroy", "--yes", "--skip-preview", expect=None)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def website(tmp_path):
    """A folder, and the address at which it is served."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
