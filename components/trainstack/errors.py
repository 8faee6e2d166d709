"""The errors that reach people: each is one line that says what is wrong, with which input, and what to do.

TrainstackError
├── InvalidInputError        an input is wrong, which preview shows
├── NotFoundError            a run, dataset, model or environment is not in the workspace
├── WorkspaceNotFoundError   there is no workspace in a folder, which tells nothing of what it held
├── InUseError               something that a removal would break still needs it
├── DigestMismatchError      bytes are not those that were promised
├── CommandFailedError       a program that builds an environment or image failed
├── GateError                a model's metrics do not pass its gate
├── RunFailedError           a training run or sweep ended without success
│   └── TrainingFailedError  its training script failed
├── PreemptedError           the place of a run's nodes was given to others before they worked
├── TrackingError            an MLflow server did not answer, or refused
├── LeaseHeldError           another process has the lease of a shared workspace's record
├── LeaseLostError           another process has taken over a lease
└── UnreachableError         a service did not answer, so that something is not known yet
    ├── IndexUnreachableError   the package index
    ├── EngineUnreachableError  the Docker engine that knows an image
    └── StoreUnreachableError   the object store of a workspace

The agent and the model server run where this package is not installed, so that each has a tree of its own:
`trainstack.agent.errors` and `trainstack.server.http.errors`. Exceptions that one module raises for another of its
folder, and that never reach a person, stay with them.
"""

from __future__ import annotations

from collections.abc import Sequence


class TrainstackError(Exception):
    """Something a person can act on; its text is shown as it is, without a traceback."""


class InvalidInputError(TrainstackError):
    """An input is wrong, and that can be known without doing any work: preview shows it.

    Attributes:
        field: The input.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(TrainstackError):
    """A named run, dataset, model or environment is not in the workspace."""


class WorkspaceNotFoundError(TrainstackError):
    """There is no workspace where one should be.

    No `NotFoundError`: what reads that as gone must not take an unmounted disk, or another machine, for a deletion.
    """


class InUseError(TrainstackError):
    """What is to be removed is still needed."""


class DigestMismatchError(TrainstackError):
    """Bytes are not those that were promised."""


class CommandFailedError(TrainstackError):
    """A command ended without success; its output says why.

    Attributes:
        lines: All that it printed.
    """

    def __init__(self, message: str, lines: Sequence[str]) -> None:
        super().__init__(message)
        self.lines = list(lines)


class GateError(TrainstackError):
    """A model's metrics do not pass its gate."""


class PreemptedError(TrainstackError):
    """The place of a run's nodes was given to others before they worked; the run waits for another."""


class RunFailedError(TrainstackError):
    """A training run ended without success; the run directory is kept."""


class TrackingError(TrainstackError):
    """An MLflow server did not answer, or refused.

    Attributes:
        code: MLflow's own error code, where it refused.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class UnreachableError(TrainstackError):
    """A service did not answer: what depends on it is not known yet."""


class IndexUnreachableError(UnreachableError):
    """The package index did not answer: whether the packages exist is not known."""


class EngineUnreachableError(UnreachableError):
    """The Docker engine did not answer: which image a name means is not known."""


class StoreUnreachableError(UnreachableError):
    """The object store did not answer: what it has is not known."""
