"""Training runs, from declared inputs and their fingerprint to the supervised attempt and what it leaves."""
