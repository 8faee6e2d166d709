"""A Docker engine, reached by its address: what builds images for every target, and runs containers for one of them."""
