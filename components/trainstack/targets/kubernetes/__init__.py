"""Kubernetes clusters: one pod per node, of one Indexed Job a run."""
