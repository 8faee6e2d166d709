"""What a workspace, dataset, environment, run, model and service are: specs, fingerprints, records. Free of Pulumi.

Large packages (of clients, YAML, HTTP) are imported inside the functions that need them, for `preview` to be quick.
"""
