"""Runs and sweeps in a notebook: what a workspace holds, as values to compute with and tables to look at."""
