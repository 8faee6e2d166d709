"""Frames of a terminal as one SVG that plays by itself: CSS moves a strip of frames, no script and no font is fetched.

Whoever asks their system for less motion sees the last frame, and so does a viewer that plays nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from recordings.frames import Frame, Row

_CELL, _LINE, _SIZE, _MARGIN, _BAR = 8.4, 18.0, 14.0, 16.0, 34.0
_BACKGROUND, _FOREGROUND = "#16181d", "#d7dae0"
_COLOURS = {
    "black": "#3f4451", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "blue": "#79c0ff",
    "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#d7dae0", "default": _FOREGROUND,
    "brightblack": "#8b949e", "brightred": "#ffa198", "brightgreen": "#aff5b4", "brightbrown": "#f2cc60",
    "brightyellow": "#f2cc60", "brightblue": "#a5d6ff", "bfightmagenta": "#e2c5ff",  # sic, in pyte
    "brightcyan": "#b3f0ff", "brightwhite": "#ffffff",
}  # fmt: skip
_END_SECONDS = 6.0


def draw(frames: Sequence[Frame], columns: int, title: str) -> str:
    """Draw a session.

    Args:
        frames: What was to be seen, one after the other.
        columns: The terminal's width.
        title: What the window is called, and what a screen reader says.
    """
    shown = [*frames[:-1], Frame(frames[-1].rows, _END_SECONDS)]
    height = max(len(frame.rows) for frame in shown) * _LINE + _MARGIN
    width = columns * _CELL + 2 * _MARGIN
    rows: dict[Row, str] = {}
    strip: list[str] = []
    for number, frame in enumerate(shown):
        uses = [
            f'<use href="#{rows.setdefault(row, f"r{len(rows)}")}" y="{line * _LINE:g}"/>'
            for line, row in enumerate(frame.rows)
            if row
        ]
        strip.append(f'<g transform="translate({number * width:g})">{"".join(uses)}</g>')
    drawn = "".join(f'<g id="{name}">{"".join(_text(row))}</g>' for row, name in rows.items())
    last = f"transform:translateX({-(len(shown) - 1) * width:g}px)"
    total = sum(frame.seconds for frame in shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height + _BAR:g}" role="img">'
        f"<title>{escape(title)}</title><style>"
        f"text{{font:{_SIZE:g}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"white-space:pre;fill:{_FOREGROUND}}}"
        f"{_classes(rows)}.s{{{last};animation:play {total:.2f}s step-end infinite}}"
        f"@keyframes play{{{_keyframes(shown, width, total)}}}"
        f"@media (prefers-reduced-motion:reduce){{.s{{animation:none}}}}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="{_BACKGROUND}"/>'
        '<circle cx="20" cy="17" r="5.5" fill="#ff5f57"/><circle cx="38" cy="17" r="5.5" fill="#febc2e"/>'
        '<circle cx="56" cy="17" r="5.5" fill="#28c840"/>'
        f'<text x="{width / 2:g}" y="22" text-anchor="middle" style="fill:#8b949e">{escape(title)}</text>'
        f"<defs>{drawn}</defs>"
        f'<svg x="{_MARGIN:g}" y="{_BAR:g}" width="{width - _MARGIN:g}" height="{height:g}">'
        f'<g class="s">{"".join(strip)}</g></svg></svg>\n'
    )


def _keyframes(frames: Sequence[Frame], width: float, total: float) -> str:
    steps: list[str] = []
    passed = 0.0
    for number, frame in enumerate(frames):
        steps.append(f"{passed / total:.3%}{{transform:translateX({-number * width:g}px)}}")
        passed += frame.seconds
    return "".join(steps)


def _classes(rows: dict[Row, str]) -> str:
    used = {run.colour for row in rows for run in row} - {"default"}
    return "".join(f".{_class(colour)}{{fill:{_COLOURS.get(colour, f'#{colour}')}}}" for colour in sorted(used))


def _class(colour: str) -> str:
    return f"c{colour}"


def _text(row: Row) -> list[str]:
    drawn: list[str] = []
    for run in row:
        colour = "" if run.colour == "default" else f' class="{_class(run.colour)}"'
        bold = ' font-weight="bold"' if run.bold else ""
        # Whatever the font is, a run ends where its last cell does.
        length = f' textLength="{len(run.text) * _CELL:g}" lengthAdjust="spacingAndGlyphs"' if len(run.text) > 1 else ""
        drawn.append(f'<text x="{run.column * _CELL:g}" y="{_SIZE:g}"{length}{colour}{bold}>{escape(run.text)}</text>')
    return drawn
