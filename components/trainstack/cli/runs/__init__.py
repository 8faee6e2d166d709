"""`trainstack runs` and what belongs to it."""
