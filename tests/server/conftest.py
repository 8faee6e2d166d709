"""A running server with a real SavedModel behind it, for each serving environment."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.server.served import Served


@pytest.fixture(scope="session", params=["2.15", "2.21"])
def served(
    request: pytest.FixtureRequest,
    serving_interpreter: Callable[[str], Path],
    zoo: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The zoo, served by each serving environment in turn."""
    server = Served(serving_interpreter(request.param), zoo, tmp_path_factory.mktemp("served") / "log.txt")
    yield server.ready()
    server.end()
