"""One Pulumi component a module: typed arguments, children, outputs. No work is done here."""
