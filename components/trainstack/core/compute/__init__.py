"""Compute: what runs on, its nodes, their sizes and prices."""
