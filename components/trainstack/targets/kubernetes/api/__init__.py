"""Talk to the API server: requests, watches, exec, port forwarding."""
