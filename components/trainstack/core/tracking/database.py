"""The embedded server's database, which is there whole or not at all.

MLflow makes the tables of a new database in some sixty steps, which SQLite does not take back together: killed between
two of them, no MLflow ever opens that database again. So an empty one is made aside, once for an MLflow environment,
and each workspace begins with a copy.
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


def ready(database: Path, environment: Path, python: list[str], variables: dict[str, str]) -> None:
    """Make the database unless it is there.

    Args:
        database: Where it belongs.
        environment: The folder of the MLflow environment.
        python: The command of its interpreter.
        variables: What that finds.

    Raises:
        TrainstackError: MLflow cannot make one, or the disk is full.
    """
    if database.is_file():
        return
    empty = environment / NAME
    if not empty.is_file():
        aside = environment / f".{NAME}.{os.getpid()}"
        aside.unlink(missing_ok=True)
        made = subprocess.run(
            [*python, "-c", _MAKE, f"sqlite:///{aside}"], env=variables, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            aside.unlink(missing_ok=True)
            said = (made.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise TrainstackError(f"MLflow cannot make its database in {environment}: {said}")
        aside.replace(empty)
    write_bytes_once(database, empty.read_bytes())
