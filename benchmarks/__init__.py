"""What Trainstack costs, beside what a user would do instead. `python -m benchmarks` runs them all."""
