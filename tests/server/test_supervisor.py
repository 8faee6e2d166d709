"""When a dead worker is replaced."""

from collections import deque

from trainstack.server.process.supervisor import pause_before_restart


def test_one_that_dies_again_and_again_is_replaced_more_and_more_slowly():
    deaths: deque[float] = deque()
    pauses = [pause_before_restart(deaths, second) for second in range(8)]
    assert pauses[0] == 0
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0


def test_deaths_of_long_ago_do_not_count():
    deaths: deque[float] = deque()
    for hour in range(10_000):
        assert pause_before_restart(deaths, hour * 3600.0) == 0
    assert len(deaths) == 1
