"""Providers of what is made on a cluster and is no object of pulumi-kubernetes."""
