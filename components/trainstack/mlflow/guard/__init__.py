"""What stands before the embedded MLflow server, in its process: a login, and artifacts that stay in their folder.

The process has MLflow's environment, in which there is nothing of ours but this package.
"""
