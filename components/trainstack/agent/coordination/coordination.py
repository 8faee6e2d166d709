"""How the agents of a run agree on when to start, and on how the run ended."""

from __future__ import annotations

from dataclasses import dataclass

from ..ranks.wakeup import Wakeup
from ..reporting.report import FAILED, SUCCEEDED, TERMINATED, Failure


@dataclass(frozen=True)
class AllJoined:
    """All nodes have joined: start the ranks."""


@dataclass(frozen=True)
class RunEnded:
    """The run is over on all nodes.

    Attributes:
        state: `succeeded`, `failed` or `terminated`.
        failure: The first failure, when it failed.
    """

    state: str
    failure: Failure | None = None


class Coordination:
    """The agreement of a single node; `Coordinator` and `Member` extend it to several nodes.

    It posts one `AllJoined`, and later one `RunEnded`, to the agent's loop.
    """

    def __init__(self, wakeup: Wakeup) -> None:
        """Post to `wakeup`."""
        self._wakeup = wakeup

    def join(self) -> None:
        """Join the run; `AllJoined` follows when all nodes have joined."""
        self._wakeup.post(AllJoined())

    def done(self) -> None:
        """Report that the scripts of this node have succeeded."""
        self._wakeup.post(RunEnded(SUCCEEDED))

    def failed(self, failure: Failure) -> None:
        """Report that this node has failed."""
        self._wakeup.post(RunEnded(FAILED, failure))

    def stopped(self) -> None:
        """Report that this node was asked to stop."""
        self._wakeup.post(RunEnded(TERMINATED))

    def close(self) -> None:
        """Leave the run; an agent does this last."""
