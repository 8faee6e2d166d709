"""Files that survive a crash: atomic writes, digests, content-addressed blobs. Knows nothing of training."""
