"""How long the API server may take."""

ANSWER_SECONDS = 30.0
"""For one answer."""
