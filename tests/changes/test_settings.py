"""Kinds of change in environments, places, settings and workspaces, one after another on the real engine."""

from __future__ import annotations

import pytest
from tests.changes.change import Change, rows
from tests.changes.kinds_of_settings import ENVIRONMENTS, PLACES, SETTINGS, SEVERAL, WORKSPACES
from tests.changes.play import play
from tests.changes.stack import Stack

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("change", rows([*ENVIRONMENTS, *PLACES, *SETTINGS, *SEVERAL, *WORKSPACES]))
def test_settings(change: Change, stack: Stack) -> None:
    play(change, stack)
