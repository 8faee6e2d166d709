"""Where nodes run. `base` has the interface, `registry` finds a target, each target is a folder."""
