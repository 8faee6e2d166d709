"""Files that survive a crash, content by digest, and stores in folders and buckets. Knows nothing of training.

Large packages (of clients, YAML, HTTP) are imported inside the functions that need them, for `preview` to be quick.
"""
