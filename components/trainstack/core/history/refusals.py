"""Values that a server refuses: they are set apart, so that all others arrive and nothing waits for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from trainstack.errors import TrackingError
from trainstack.mlflow.metric_files import Point
from trainstack.mlflow.rest_client import TrackingServer

# MLflow's codes for a call whose content is wrong; it stays wrong when it is sent again.
_FINAL = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE", "400", "413")
# Of a call of its own also: the server is older than the script's client, or what it is about is gone.
_NOT_THERE = ("ENDPOINT_NOT_FOUND", "RESOURCE_DOES_NOT_EXIST", "NOT_IMPLEMENTED", "404", "405", "415", "422", "501")

Value = tuple[str, str | Point]


class Refusals:
    """What a server refused to take, a line each, in order and each once."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def add(self, lines: Iterable[str]) -> None:
        """Keep lines."""
        self._lines.update(dict.fromkeys(lines))

    def attempt(self, what: str, call: Callable[[], object]) -> bool:
        """Call the server, and return whether it took it.

        Args:
            what: What it is told.
            call: The call.

        Raises:
            TrackingError: The server does not answer, or refuses for another reason than what it is told.
        """
        lines = attempt(what, call)
        self.add(lines)
        return not lines


def log(
    server: TrackingServer,
    run: str,
    *,
    metrics: Sequence[tuple[str, Point]] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[str]:
    """Log what the server takes.

    Args:
        server: The server.
        run: The id of its run.
        metrics: New points, by metric.
        params: Parameters, whose value a server never changes.
        tags: Tags.

    Returns:
        A line for each value that was refused.

    Raises:
        TrackingError: The server does not answer, or refuses for another reason than the values.
    """
    return [
        *_log(server, run, "parameter", list((params or {}).items())),
        *_log(server, run, "tag", list((tags or {}).items())),
        *_log(server, run, "metric", metrics),
    ]


def attempt(what: str, call: Callable[[], object]) -> list[str]:
    """Call the server.

    Args:
        what: What it is told.
        call: The call.

    Returns:
        A line if it refuses.

    Raises:
        TrackingError: The server does not answer, or refuses for another reason than what it is told.
    """
    try:
        call()
    except TrackingError as exc:
        if exc.code not in (*_FINAL, *_NOT_THERE):
            raise
        return [f"{what}: {exc}"[:500]]
    return []


def _log(server: TrackingServer, run: str, kind: str, values: Sequence[Value]) -> list[str]:
    """Log values; halves what is refused until the refused value stands alone."""
    if not values:
        return []
    try:
        if kind == "parameter":
            server.log(run, params={name: str(value) for name, value in values})
        elif kind == "tag":
            server.log(run, tags={name: str(value) for name, value in values})
        else:
            server.log(run, metrics=[(name, value) for name, value in values if isinstance(value, Point)])
    except TrackingError as exc:
        if exc.code not in _FINAL:
            raise
        if len(values) == 1:
            return [f"{kind} {values[0][0]}: {exc}"[:500]]
        middle = len(values) // 2
        return [*_log(server, run, kind, values[:middle]), *_log(server, run, kind, values[middle:])]
    return []
