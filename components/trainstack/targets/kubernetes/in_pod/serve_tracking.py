"""Serves MLflow in a pod: `serve_tracking.py PORT`. The database's address, with its password, comes in a variable.

Before anything is served the database is there whole, with the tables of this very MLflow, which makes or upgrades them
in many steps. PostgreSQL takes those back together; a file is made aside and renamed, so that a pod that is killed
meanwhile leaves nothing that the next trips over. Why it does not start goes where the cluster finds it, in one line.
"""

import contextlib
import importlib
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_DATABASE = "MLFLOW_BACKEND_STORE_URI"
_ARTIFACTS = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
_FILE = "sqlite:///"
_REASON = Path("/dev/termination-log")
# Each try waits twice as long as the one before: six seconds in all.
_TRIES = 6


def main() -> None:
    """Have the database ready, then serve until SIGTERM."""
    address = os.environ[_DATABASE]
    try:
        make_ready(address)
        check_bucket(os.environ.get(_ARTIFACTS, ""))
    except Exception as exc:  # noqa: BLE001 (whatever it is, the cluster shows it)
        sys.exit(report_failure(exc, address))
    for name in ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE"):
        os.environ[name] = address
    uvicorn: Any = importlib.import_module("uvicorn")
    uvicorn.run("mlflow.server.fastapi_app:app", host="0.0.0.0", port=int(sys.argv[1]), log_level="warning")  # noqa: S104


def make_ready(address: str) -> None:
    """Have all tables of this MLflow in the database."""
    if not address.startswith(_FILE):
        bring_up(address)
        return
    path = Path(address.removeprefix(_FILE))
    if path.is_file() and not outdated(address):
        return
    temporary = path.with_name(f"{path.name}.new")
    for leftover in path.parent.glob(f"{temporary.name}*"):
        leftover.unlink()
    if path.is_file():
        with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(temporary)) as new:
            old.backup(new)
    bring_up(f"{_FILE}{temporary}")
    temporary.replace(path)


def outdated(address: str) -> bool:
    """Whether a database's tables are another MLflow's."""
    tables: Any = importlib.import_module("mlflow.store.db.utils")
    engine = tables.create_sqlalchemy_engine(address)
    try:
        return tables._get_schema_version(engine) != tables._get_latest_schema_revision()
    finally:
        engine.dispose()


def bring_up(address: str) -> None:
    """Make the tables, or bring them up to this MLflow."""
    tables: Any = importlib.import_module("mlflow.store.db.utils")
    tables.MAX_RETRY_COUNT = _TRIES
    engine = tables.create_sqlalchemy_engine_with_retry(address)
    try:
        version = tables._get_schema_version(engine)
        if version is None:
            tables._initialize_tables(engine)
        elif version != tables._get_latest_schema_revision():
            tables._upgrade_db(engine)
    finally:
        engine.dispose()


def check_bucket(destination: str) -> None:
    """Make sure that the bucket is there and lets us in."""
    parts = urlsplit(destination)
    if parts.scheme == "s3":
        boto: Any = importlib.import_module("boto3")
        boto.client("s3").list_objects_v2(Bucket=parts.netloc, Prefix=parts.path.lstrip("/"), MaxKeys=1)


def report_failure(exc: Exception, address: str) -> str:
    """Tell the cluster why nothing is served; gives the line, without the database's password."""
    # SQLAlchemy wraps what the driver says in words of its own.
    line = " ".join(str(getattr(exc, "orig", None) or exc).split()) or type(exc).__name__
    with contextlib.suppress(ValueError):
        password = urlsplit(address).password or ""
        for secret in {password, unquote(password)} - {""}:
            line = line.replace(secret, "***")
    with contextlib.suppress(OSError):
        _REASON.write_text(line[:1000], encoding="utf-8")
    return line


if __name__ == "__main__":
    main()
