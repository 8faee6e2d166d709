"""Which ends of an attempt another attempt can cure, and how long to wait before it.

A signal, a lost node or a lack of memory come from outside the script; the same code may well succeed when started
again. An exit code is the script's own word and is believed, unless its author lists it.
"""

from __future__ import annotations

from trainstack.core.runs.record import Cause, Failure
from trainstack.core.runs.request import RunRequest
from trainstack.targets.base import Capacity

LONGEST_BACKOFF = 300.0


def curable(failure: Failure | None, request: RunRequest) -> bool:
    """Whether starting the same script again may end better.

    Args:
        failure: How the attempt failed; none when it failed before the script could.
        request: What the run's author wants retried.
    """
    if failure is None:
        return False
    if failure.cause in (Cause.SIGNAL, Cause.LOST_NODE, Cause.OUT_OF_MEMORY):
        return True
    return failure.cause is Cause.EXIT_CODE and failure.exit_code in request.retry_exit_codes


def backoff(first: float, tries: int) -> float:
    """Seconds to wait after so many tries: the first pause doubles each time, up to five minutes."""
    return min(first * 2.0 ** min(tries - 1, 30), max(first, LONGEST_BACKOFF))


def memory_hint(holds: Capacity, compute: str) -> str:
    """What to raise, in a few words."""
    return (
        f"the kernel ends processes when memory runs out; a node of {compute} has {holds.memory_gib:g} GiB: "
        "take a larger `vm_size` or `node`, or lower `max_nodes` or the batch size"
    )
