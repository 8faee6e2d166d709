"""Cutting byte streams into lines."""

from __future__ import annotations

import pytest

from trainstack.agent.reporting.lines import LONGEST_LINE, LineSplitter, plain


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_the_same_however_the_bytes_arrive() -> None:
    data = "eins\nzwei é 漢字\r\n\ndrei".encode()
    for size in (1, 2, 3, 7, len(data)):
        splitter = LineSplitter()
        lines = [line for at in range(0, len(data), size) for line in splitter.feed(data[at : at + size])]
        assert lines + splitter.finish() == ["eins", "zwei é 漢字", "", "drei"], size


def test_invalid_utf8_is_shown_and_not_fatal() -> None:
    assert LineSplitter().feed(b"a\xff\xfeb\n") == ["a\ufffd\ufffdb"]


@pytest.mark.parametrize("state", ["\r{}/100", "{}/100\r", "\b\b\b\r{}/100"])
def test_progress_bar_shows_a_state_a_second_and_its_last(state: str) -> None:
    clock = Clock()
    splitter = LineSplitter(clock)
    lines: list[str] = []
    for step in range(101):
        clock.now = step / 40
        lines += splitter.feed(state.format(step).encode())
    lines += splitter.feed(b"\n")
    assert lines[-1] == "100/100"
    assert 3 <= len(lines) <= 4


def test_endless_line_is_cut_between_characters() -> None:
    text = "é" * LONGEST_LINE
    splitter = LineSplitter()
    lines = splitter.feed(b"a" + text.encode())
    lines += splitter.finish()
    assert "".join(lines) == "a" + text
    assert max(len(line.encode()) for line in lines) <= LONGEST_LINE


def test_whole_line_that_is_too_long_is_cut_too() -> None:
    lines = LineSplitter().feed(b"x" * (3 * LONGEST_LINE + 1) + b"\nnext\n")
    assert [len(line) for line in lines] == [LONGEST_LINE] * 3 + [1, 4]


def test_plain_line_has_no_colours_and_an_end() -> None:
    assert plain("\x1b[31mred\x1b[0m\tand \x07bell" + "x" * 5000)[:16] == "red\tand bellxxxx"
    assert len(plain("x" * 5000)) == 2000
