"""Kubernetes clusters: a pod a node, of one Indexed Job a run."""
