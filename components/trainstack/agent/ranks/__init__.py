"""The ranks of a node as processes: environment, ports, signals, and what they leave behind."""
