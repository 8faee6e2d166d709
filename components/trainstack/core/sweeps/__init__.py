"""Sweeps: many runs of one script with other arguments, chosen by Optuna, the best of which counts."""
