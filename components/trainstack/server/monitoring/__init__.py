"""What is kept and counted of requests: metrics, captured data, drift of inputs."""
