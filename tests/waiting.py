"""Waiting for what happens in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Ask again and again until the answer is yes, and give it."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return result
