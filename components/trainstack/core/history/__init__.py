"""The history of a workspace on an MLflow server: a mirror of the run directories, to be built anew at any time."""
