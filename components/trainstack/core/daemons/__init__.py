"""Processes that outlive the command that starts them."""
