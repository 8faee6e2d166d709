"""Commands that list what a workspace has: datasets, environments, models, services, sweeps, computes."""
