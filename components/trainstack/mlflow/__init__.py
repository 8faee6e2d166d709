"""Files that a script's MLflow client writes, and a client of MLflow's REST API. MLflow itself is not imported.

Large packages (of clients, YAML, HTTP) are imported inside the functions that need them, for `preview` to be quick.
"""
