"""Registered models: where a version comes from and what is recorded of it."""
