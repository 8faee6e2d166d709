"""The versions of a model in memory: loaded, chosen among, watched for drift of their inputs."""
