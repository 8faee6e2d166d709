"""The audit of locks: known vulnerabilities are named with their cure and lock; a database that is silent is said."""

from __future__ import annotations

import http.server
import importlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
audit = importlib.import_module("audit")

VULNERABLE = {"requests": "2.19.0"}


class _Database(http.server.BaseHTTPRequestHandler):
    """Answers as the OSV database does."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = query["package"]
        known = VULNERABLE.get(package["name"]) == query["version"]
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.20.0"}]}]
        affected = [{"package": package, "ranges": ranges}]
        vulnerability = {"id": "PYSEC-2018-28", "summary": "leaks", "affected": affected}
        body = json.dumps({"vulns": [vulnerability]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(audit, "DATABASE", f"http://127.0.0.1:{server.server_port}/v1/query")
        yield
        server.shutdown()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "components" / "curated").mkdir(parents=True)
    (tmp_path / "requirements.lock").write_text("requests==2.19.0 \\\n    --hash=sha256:aa\nsix==1.17.0\n")
    (tmp_path / "components" / "curated" / "requirements.lock").write_text("requests==2.34.2\n")
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("database", "checkout")
def test_a_vulnerable_package_is_named_with_cure_and_lock(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([]) == 1
    assert capsys.readouterr().out == (
        "audit: requests 2.19.0: PYSEC-2018-28, upgrade to 2.20.0 (requirements.lock)\n"
        "audit: 3 locked packages, 1 known vulnerabilities\n"
    )


@pytest.mark.usefixtures("database", "checkout")
def test_lint_names_vulnerabilities_and_goes_on() -> None:
    assert audit.main(["--advise"]) == 0


@pytest.mark.usefixtures("database")
def test_safe_locks_pass_the_audit(checkout: Path) -> None:
    (checkout / "requirements.lock").unlink()
    assert audit.main([]) == 0


@pytest.mark.usefixtures("checkout")
def test_a_silent_database_is_no_success(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(audit, "DATABASE", "http://127.0.0.1:9/v1/query")
    assert audit.main([]) == 1
    assert "3 locked packages were not looked up" in capsys.readouterr().out
    assert audit.main(["--advise"]) == 0


def test_all_locks_of_the_checkout_are_looked_up() -> None:
    locks = {lock for locks in audit.locked(ROOT).values() for lock in locks}
    tracked = {str(path.relative_to(ROOT)) for path in ROOT.glob("components/**/*.lock")}
    assert locks == {"requirements.lock", "requirements-dev.lock", *tracked}
