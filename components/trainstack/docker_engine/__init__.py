"""A Docker engine, reached by its address: what builds images for every target, and runs containers for one of them.

Large packages (of clients, YAML, HTTP) are imported inside the functions that need them, for `preview` to be quick.
"""
