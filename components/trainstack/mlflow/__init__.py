"""Files that a script's MLflow client writes, and a client of MLflow's REST API. MLflow itself is not imported."""
