"""The ASGI application that uvicorn serves in MLflow's environment: `uvicorn --app-dir …/mlflow guard.app:app`."""

from __future__ import annotations

import importlib
import os

from . import confinement
from .token_gate import TOKEN_DIGEST, Application, TokenGate

confinement.install()
_mlflow: Application = importlib.import_module("mlflow.server.fastapi_app").app
app = TokenGate(_mlflow, os.environ[TOKEN_DIGEST])
