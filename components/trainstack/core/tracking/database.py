"""The embedded server's database, which exists whole or not at all.

MLflow makes the tables of a new database in some sixty steps, which SQLite does not roll back together: if MLflow is
killed between two of them, no MLflow ever opens that database again. So an empty database is made under another name,
once for an MLflow environment, and each workspace starts with a copy.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from pathlib import Path

from trainstack.errors import TrainstackError
from trainstack.storage.atomic import write_bytes_once
from trainstack.storage.path_address import file_address

NAME = "mlflow.db"
_MAKE = """
import sys
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
SqlAlchemyStore(sys.argv[1], "mlflow-artifacts:/")
"""


def ensure(database: Path, environment: Path, python: list[str], variables: dict[str, str]) -> None:
    """Make the database unless it exists, and look whether the one that does is one.

    Args:
        database: Its file.
        environment: The folder of the MLflow environment.
        python: The command of its interpreter.
        variables: The environment variables.

    Raises:
        TrainstackError: MLflow cannot make one, the disk is full, or the file that is there is no database.
    """
    if database.is_file():
        _check(database)
        return
    empty = environment / NAME
    if not empty.is_file():
        unfinished = environment / f".{NAME}.{os.getpid()}"
        unfinished.unlink(missing_ok=True)
        process = subprocess.run(
            [*python, "-c", _MAKE, f"sqlite:///{unfinished.name}"],
            # The address has no path that would have to be quoted.
            cwd=environment,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode != 0:
            unfinished.unlink(missing_ok=True)
            message = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            raise TrainstackError(f"MLflow cannot make its database in {environment}: {message}")
        unfinished.replace(empty)
    write_bytes_once(database, empty.read_bytes())


def _check(database: Path) -> None:
    """Refuse a file that SQLite cannot read, which MLflow would speak of in a hundred lines."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{file_address(database.absolute())}?mode=ro", uri=True)
        ) as connection:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.DatabaseError as exc:
        # A database that is locked is one.
        if isinstance(exc, sqlite3.OperationalError):
            return
        raise TrainstackError(
            f"{database} is damaged ({exc}): `trainstack ui --rebuild` makes it anew from the runs"
        ) from exc
