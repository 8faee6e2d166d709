"""The processes of the model server: the one that keeps the port, its workers, and their settings."""
