"""A workspace: the folder that keeps datasets, runs, models and services; where it is and how it is found."""
