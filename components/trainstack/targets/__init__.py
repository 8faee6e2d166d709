"""Where nodes run. `base` has the interface, `registry` finds a target, each target is a folder.

Large packages (of clients, YAML, HTTP) are imported inside the functions that need them, for `preview` to be quick.
"""
