"""`trainstack gc`, `fsck` and `purge`."""
