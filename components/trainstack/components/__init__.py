"""One Pulumi component a module: typed arguments, children, outputs. No work is done here.

What few programs need is imported inside its function, for `preview` to be quick.
"""

from trainstack.components import early_provider

early_provider.start()
