"""The environment variables of an MLflow server that holds a history, wherever it runs."""

from __future__ import annotations

DATABASE = "MLFLOW_BACKEND_STORE_URI"
"""Variable with the database's address; MLflow's own commands read it too."""


def variables(destination: str) -> dict[str, str]:
    """Return the variables of a server that serves artifacts.

    Args:
        destination: Where it stores them: `file:///FOLDER` or `s3://BUCKET/FOLDER`.
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
    """Return the variables with the location of runs and registered models.

    Args:
        database: The database's address, as SQLAlchemy takes it.
    """
    return {"_MLFLOW_SERVER_FILE_STORE": database, "_MLFLOW_SERVER_REGISTRY_STORE": database}
