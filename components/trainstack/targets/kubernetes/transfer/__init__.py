"""How a run's files pass between its directory and its pods."""
