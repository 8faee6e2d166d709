"""Reclaim, verify and purge what a workspace keeps."""
