"""Nodes as process groups of this machine. The run's directory is where they work: nothing is carried."""
