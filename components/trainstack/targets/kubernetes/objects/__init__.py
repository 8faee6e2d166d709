"""The objects of the API server as plain values. Pure functions."""
