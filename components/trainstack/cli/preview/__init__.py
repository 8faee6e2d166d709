"""`trainstack plan`, `compare` and `lock`: what an update would do, what it did, and what it is pinned to."""
