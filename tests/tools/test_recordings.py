"""Recordings of terminal sessions: what a shell shows becomes frames, and one SVG that plays by itself."""

import importlib
import os
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

drawing = importlib.import_module("recordings.drawing")
frames = importlib.import_module("recordings.frames")
terminal = importlib.import_module("recordings.terminal")

PICTURES = sorted((ROOT / "docs" / "pictures").glob("session-*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def texts(frame):
    def text(row):
        text = ""
        for run in row:
            text = text.ljust(run.column) + run.text
        return text

    return [text(row) for row in frame.rows]


def test_a_typed_command_and_what_it_prints_are_recorded(tmp_path):
    with terminal.Session(tmp_path, dict(os.environ, TERM="xterm-256color"), 60, 10) as session:
        session.type("printf 'one\\rtwo\\n'")
    last = frames.frames_of(session.output, 60, 10)[-1]
    assert texts(last) == ["$ printf 'one\\rtwo\\n'", "two", "$"]
    assert session.output[0][0] < session.output[-1][0]


def test_each_screen_is_a_frame_and_long_pauses_are_cut():
    visible = frames.frames_of([(0, "\x1b[31mwait"), (1, ""), (40, "\r\x1b[0;1mdone"), (40.01, "!\r\n")], 20, 4)
    assert [texts(frame) for frame in visible] == [["wait"], ["done!"]]
    assert [(run.colour, run.bold) for frame in visible for row in frame.rows for run in row] == [
        ("red", False),
        ("default", True),
    ]
    assert max(frame.seconds for frame in visible) <= 1.5


def test_a_session_is_one_svg_whose_rows_are_drawn_once():
    same = (frames.Run(0, "a < b & c", "green", True),)
    picture = drawing.draw([frames.Frame((same,), 1), frames.Frame((same, same), 1)], 20, "x & y")
    tree = ElementTree.fromstring(picture)
    assert [element.text for element in tree.iter(f"{SVG}text")] == ["x & y", "a < b & c"]
    assert len(list(tree.iter(f"{SVG}use"))) == 3


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_recordings_fetch_nothing_and_name_no_machine(picture):
    text = picture.read_text()
    visible = " ".join(element.text or "" for element in ElementTree.fromstring(text).iter(f"{SVG}text"))
    assert "$" in visible
    assert re.findall(r"(?:/root|/tmp|/home|/Users|/var)/\S*", visible) == []
    assert re.findall(r"""(?:href|src)=["'](?!#)|url\(|@import|<script|@font-face""", text) == []
    assert len(text) < 200_000


def test_the_recordings_are_what_the_documentation_shows():
    assert {path.stem for path in PICTURES} == {f"session-{name}" for name in ("up", "preview", "plan", "logs")}
    index, readme = (ROOT / "docs" / "index.md").read_text(), (ROOT / "README.md").read_text()
    assert [path.name for path in PICTURES if f"pictures/{path.name}" not in index] == []
    assert "docs/pictures/session-preview.svg" in readme
    preview = next(path for path in PICTURES if path.stem == "session-preview").read_text()
    assert "will retrain: --epochs" in preview
