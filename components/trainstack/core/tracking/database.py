"""The embedded server's database, which exists whole or not at all.

MLflow makes the tables of a new database in some sixty steps, which SQLite does not roll back together: if MLflow is
killed between two of them, no MLflow ever opens that database again. So an empty database is made under another name,
once for an MLflow environment, and each workspace starts with a copy.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from trainstack.errors import TrainstackError
from trainstack.storage.atomic import write_bytes_once

NAME = "mlflow.db"
_MAKE = """
import sys
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
SqlAlchemyStore(sys.argv[1], "mlflow-artifacts:/")
"""


def ensure(database: Path, environment: Path, python: list[str], variables: dict[str, str]) -> None:
    """Make the database unless it exists.

    Args:
        database: Its file.
        environment: The folder of the MLflow environment.
        python: The command of its interpreter.
        variables: The environment variables.

    Raises:
        TrainstackError: MLflow cannot make one, or the disk is full.
    """
    if database.is_file():
        return
    empty = environment / NAME
    if not empty.is_file():
        unfinished = environment / f".{NAME}.{os.getpid()}"
        unfinished.unlink(missing_ok=True)
        process = subprocess.run(
            [*python, "-c", _MAKE, f"sqlite:///{unfinished}"],
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
