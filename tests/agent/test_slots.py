"""The slots of an elastic run."""

from __future__ import annotations

from pathlib import Path

from trainstack.agent.strategies.elastic_driver import order_slots
from trainstack.agent.strategies.slots import FIRST_REST_SECONDS, MOST_FAILURES, SLOTS_FILE, Slots, number_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failed_slot_rests_longer_and_returns_renamed(tmp_path: Path) -> None:
    clock = Clock()
    slots = Slots(2, tmp_path, clock)
    assert slots.find_available_hosts_and_slots() == {"slot-0": 1, "slot-1": 1}
    assert slots.worker_lost("slot-1") == "its slot is free again in 10 s"
    clock.now += FIRST_REST_SECONDS - 1
    assert slots.find_available_hosts_and_slots() == {"slot-0": 1, "slot-1": 1}
    clock.now += 1
    assert slots.find_available_hosts_and_slots() == {"slot-0": 1, "slot-1.1": 1}
    assert slots.worker_lost("slot-1.1") == "its slot is free again in 20 s"
    clock.now += FIRST_REST_SECONDS
    assert slots.find_available_hosts_and_slots() == {"slot-0": 1, "slot-1.1": 1}
    clock.now += FIRST_REST_SECONDS
    assert slots.find_available_hosts_and_slots() == {"slot-0": 1, "slot-1.2": 1}


def test_slot_that_keeps_failing_is_given_up(tmp_path: Path) -> None:
    clock = Clock()
    slots = Slots(2, tmp_path, clock)
    name = words = ""
    for _ in range(MOST_FAILURES):
        assert slots.usable == 2
        name = next(name for name in slots.find_available_hosts_and_slots() if number_of(name) == 1)
        words = slots.worker_lost(name)
        clock.now += 1e6
    assert words == "its slot is given up"
    assert slots.usable == 1
    assert name in slots.find_available_hosts_and_slots()  # by a name that the driver has given up


def test_slots_file_takes_slots_away_and_gives_them_back(tmp_path: Path) -> None:
    slots = Slots(3, tmp_path, Clock())
    (tmp_path / SLOTS_FILE).write_text("1\n")
    assert slots.find_available_hosts_and_slots() == {"slot-0": 1}
    assert slots.worker_lost("slot-2") == "its slot was taken away"
    (tmp_path / SLOTS_FILE).write_text("9")
    assert slots.find_available_hosts_and_slots() == {"slot-0": 1, "slot-1": 1, "slot-2.1": 1}
    (tmp_path / SLOTS_FILE).write_text("half written")
    assert len(slots.find_available_hosts_and_slots()) == 3


def test_slots_that_go_on_keep_the_lowest_ranks() -> None:
    assert order_slots({"slot-3", "slot-10", "slot-0.1", "slot-2"}, ["slot-1", "slot-2"]) == [
        "slot-2",
        "slot-0.1",
        "slot-3",
        "slot-10",
    ]
