"""What a workspace, dataset, environment, run, model and service are: specs, fingerprints, records. Free of Pulumi."""
