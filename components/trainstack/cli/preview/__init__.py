"""`trainstack plan` and `compare`: what an update would do, and what it did."""
