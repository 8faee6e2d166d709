"""The agents of a run agree on when to start, and on how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from ..ranks.wakeup import Wakeup
from ..reporting.report import FAILED, SUCCEEDED, TERMINATED, Failure


@dataclass(frozen=True)
class Go:
    """All nodes are there: start the ranks."""


@dataclass(frozen=True)
class End:
    """The run is over on all nodes.

    Attributes:
        state: `succeeded`, `failed` or `terminated`.
        failure: The first failure, when it failed.
    """

    state: str
    failure: Failure | None = None


class Coordination:
    """One node alone; with several nodes, `leader` and `follower` extend this.

    It answers by posting one `Go` and later one `End`.
    """

    def __init__(self, wakeup: Wakeup) -> None:
        """Post to `wakeup`."""
        self._wakeup = wakeup

    def join(self) -> None:
        """Make this node known; `Go` follows when all are there."""
        self._wakeup.post(Go())

    def done(self) -> None:
        """Say that the scripts of this node have ended well."""
        self._wakeup.post(End(SUCCEEDED))

    def failed(self, failure: Failure) -> None:
        """Say that this node has failed."""
        self._wakeup.post(End(FAILED, failure))

    def stopped(self) -> None:
        """Say that this node was asked to stop."""
        self._wakeup.post(End(TERMINATED))

    def close(self) -> None:
        """Leave: the last thing an agent does."""
