"""A run under way: submitted, prepared, supervised, followed."""
