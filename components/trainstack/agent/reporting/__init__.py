"""What a node tells of its ranks: their logs, metrics of the machine, and how they ended."""
