"""Copies of a workspace: from a folder to a store, and back."""
