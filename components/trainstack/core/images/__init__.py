"""Environments as container images: planned, built, pushed, and found again by their content."""
