"""HTTP/1.1: sockets, connections, routing, authentication, limits and errors. Knows nothing of models."""
