"""Set-up of a checkout, step by step: environment, engine, wrapper, stack. Standard library only."""
