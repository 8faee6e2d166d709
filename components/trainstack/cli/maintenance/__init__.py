"""`trainstack gc`, `fsck` and `purge`: what keeps a workspace small and whole."""
