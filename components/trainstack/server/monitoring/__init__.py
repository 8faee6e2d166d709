"""What is counted and kept of requests: metrics and captured data."""
