"""Web services of registered models, as processes and as containers."""
