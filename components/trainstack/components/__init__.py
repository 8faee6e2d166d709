"""One Pulumi component a module: typed arguments, children, outputs. No work is done here."""

from trainstack.components import early_provider

early_provider.start()
