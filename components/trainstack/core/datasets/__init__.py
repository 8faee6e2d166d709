"""Registered data: what is declared, where its files come from, and how they get into the store."""
