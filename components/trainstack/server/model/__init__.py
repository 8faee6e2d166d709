"""A model in memory: its signatures, its versions, and which version answers a request."""
