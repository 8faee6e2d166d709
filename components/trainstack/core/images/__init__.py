"""Environments as container images: what to build, how, and where it is found again."""
