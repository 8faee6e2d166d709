"""Files that survive a crash: atomic writes, digests, content-addressed blobs. Knows nothing of training.

Large packages (of clients, YAML, HTTP) are imported inside the functions that need them, for `preview` to be quick.
"""
