"""A package index with a password: it reaches the build and nothing that stays."""

import base64
import hashlib
import http.server
import io
import re
import threading
import zipfile

import pytest
from tests.core.engine_images import needs_engine, unique_variables

from trainstack.core.environments.environment import EnvironmentSpec, lock
from trainstack.core.images import build_settings
from trainstack.core.images import builder as image_builder
from trainstack.core.images.image import ensure
from trainstack.docker_engine import engine_api
from trainstack.errors import TrainstackError
from trainstack.storage.cache import cache_folder

PASSWORD = "correct-horse-battery"
NAME = "only_there-1.0-py3-none-any.whl"


def wheel():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("only_there.py", f"WHERE = '{unique_variables()['TEST']}'\n")
        file.writestr("only_there-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: only-there\nVersion: 1.0\n")
        file.writestr("only_there-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("only_there-1.0.dist-info/RECORD", "")
    return packed.getvalue()


@pytest.fixture
def index(monkeypatch, tmp_path):
    """A package index on this machine that wants a password; gives the requests that it got."""
    content, asked = wheel(), []
    allowed = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.headers.get("Authorization") != allowed:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.end_headers()
                return
            page = f'<a href="/{NAME}#sha256={hashlib.sha256(content).hexdigest()}">{NAME}</a>'.encode()
            body = content if self.path == f"/{NAME}" else page
            self.send_response(200 if self.path in (f"/{NAME}", "/simple/only-there/") else 404)
            self.send_header("Content-Type", "text/html" if body is page else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:{PASSWORD}@127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    yield asked
    server.shutdown()


@needs_engine
def test_index_password_stays_out_of_image_and_log(monkeypatch, request):
    if image_builder.docker_program() is None:
        pytest.skip("no docker program with BuildKit on PATH")
    with engine_api.connected() as client:
        # The installer's own stage is built from the usual index, which the one with the password does not replace.
        # What a build's network is counts for Docker's cache.
        with monkeypatch.context() as patched:
            patched.setattr(build_settings, "uses_loopback", lambda: True)
            plain = EnvironmentSpec.from_packages("plain", ["six==1.17.0"], variables=unique_variables())
            client.images.remove(ensure(plain, lock(plain), client).reference, force=True)
        asked = request.getfixturevalue("index")
        spec = EnvironmentSpec.from_packages("private", ["only-there==1.0"], variables=unique_variables())
        locked = lock(spec)
        asked.clear()
        image = ensure(spec, locked, client)
        try:
            assert f"/{NAME}" in asked
            kept = client.images.get(image.reference)
            assert PASSWORD not in str(kept.history()) + str(kept.attrs)
            assert PASSWORD.encode() not in b"".join(kept.save())
            logs = [path.read_text() for path in cache_folder().glob("images/*/build.log")]
            assert logs
            assert not any(PASSWORD in log for log in logs)
        finally:
            client.images.remove(image.reference, force=True)


@needs_engine
def test_builder_without_secrets_refuses_index_password(monkeypatch, index):
    monkeypatch.setattr(image_builder, "docker_program", lambda: None)
    spec = EnvironmentSpec.from_packages("private", ["only-there==1.0"], variables=unique_variables())
    with (
        engine_api.connected() as client,
        pytest.raises(TrainstackError, match="install Docker with BuildKit") as caught,
    ):
        ensure(spec, lock(spec), client)
    assert PASSWORD not in str(caught.value)


def test_the_settings_hold_index_proxies_and_certificates(monkeypatch, tmp_path):
    for name in [*build_settings._CERTIFICATES, "PIP_INDEX_URL", "UV_INDEX_URL"]:
        monkeypatch.delenv(name, raising=False)
    certificates = tmp_path / "certificates.pem"
    certificates.write_text("-----BEGIN CERTIFICATE-----\nMII'\"$(x)\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://me:it's@index.example/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    text = build_settings.script().decode()
    assert "export UV_DEFAULT_INDEX='https://me:it'\"'\"'s@index.example/simple'\n" in text
    assert re.search(r"^export PIP_INDEX_URL=", text, re.MULTILINE)
    assert "export https_proxy=http://proxy.example:3128\n" in text
    assert "MII'\"$(x)\n" in text
    assert "export PIP_CERT=/run/settings/certificates\n" in text


def test_settings_that_are_too_large_for_a_secret_say_so(monkeypatch, tmp_path):
    certificates = tmp_path / "certificates.pem"
    certificates.write_text("x" * build_settings.LIMIT_BYTES)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
    with pytest.raises(TrainstackError, match="let SSL_CERT_FILE name a file"):
        build_settings.script()


@pytest.mark.parametrize(
    ("address", "here"),
    [("http://127.0.0.1:3141/simple", True), ("mine=http://localhost/simple", True), ("https://index.example", False)],
)
def test_an_index_on_this_machine_is_noticed(monkeypatch, address, here):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    assert build_settings.uses_loopback() is here
