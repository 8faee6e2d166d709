"""What an MLflow server of ours is told by its environment, wherever it runs: what a history needs of MLflow."""

from __future__ import annotations

DATABASE = "MLFLOW_BACKEND_STORE_URI"
"""Variable with the database's address, by which MLflow's own commands know it as well."""


def variables(destination: str) -> dict[str, str]:
    """The variables of a server that passes artifacts on.

    Args:
        destination: Where it keeps them: `file:///FOLDER` or `s3://BUCKET/FOLDER`.
    """
    return {
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": destination,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def stores(database: str) -> dict[str, str]:
    """The variables that say where runs and registered models are.

    Args:
        database: The database's address, as SQLAlchemy takes it.
    """
    return {"_MLFLOW_SERVER_FILE_STORE": database, "_MLFLOW_SERVER_REGISTRY_STORE": database}
