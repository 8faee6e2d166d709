"""The errors that reach people: each is one line that says what, which input, and what to do."""

from __future__ import annotations


class TrainstackError(Exception):
    """Something a person can act on; its text is shown as it is, without a traceback."""


class InvalidInputError(TrainstackError):
    """An input is wrong, and that can be known without doing any work: preview shows it."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(TrainstackError):
    """A named thing (run, dataset, model, environment) is not in the workspace."""


class DigestMismatchError(TrainstackError):
    """Bytes are not those that were promised."""


class RunFailedError(TrainstackError):
    """A training run ended without success; the run directory is kept."""
