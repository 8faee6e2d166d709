"""What components declare on a cluster: rendered objects as resources of pulumi-kubernetes."""
