"""The MLflow tracking server of a workspace: where it is, how it is started and reached."""
