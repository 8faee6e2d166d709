"""Kinds of change in code, one after another on the real engine."""

from __future__ import annotations

import pytest
from tests.changes.change import Change, rows
from tests.changes.kinds_of_code import CODE
from tests.changes.play import play
from tests.changes.stack import Stack

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("change", rows(CODE))
def test_code(change: Change, stack: Stack) -> None:
    play(change, stack)
