"""Files between a run's directory and nodes that do not share it, whatever the target."""
