"""Kinds of change in arguments and variables, one after another on the real engine."""

from __future__ import annotations

import pytest
from tests.changes.change import Change, rows
from tests.changes.kinds_of_settings import ARGUMENTS, VARIABLES
from tests.changes.play import play
from tests.changes.stack import Stack

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("change", rows([*ARGUMENTS, *VARIABLES]))
def test_arguments(change: Change, stack: Stack) -> None:
    play(change, stack)
