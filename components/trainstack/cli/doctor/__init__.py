"""`trainstack doctor`: checks of the machine and of a workspace."""
