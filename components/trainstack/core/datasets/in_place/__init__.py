"""Data that stays in its object store: listed when it is registered, read when a run uses it."""
