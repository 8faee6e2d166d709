"""Kinds of change in data, one after another on the real engine."""

from __future__ import annotations

import pytest
from tests.changes.change import Change, rows
from tests.changes.kinds_of_data import DATA
from tests.changes.play import play
from tests.changes.stack import Stack

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("change", rows(DATA))
def test_data(change: Change, stack: Stack) -> None:
    play(change, stack)
