"""What a cluster must have before something is asked of it."""
