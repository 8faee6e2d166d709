"""Processes of ours that outlive the command that starts them."""
