"""What a node reports of its ranks: logs, system metrics, and how they ended."""
