"""One table of all ratios, with machine, versions and date, beside the ratios that are committed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).with_name("ratios.json")
# Ratios of one machine differ by so much from one run to the next; less is no news.
NOISE = 0.15
REGRESSED, MISSING = "REGRESSED", "NOT MEASURED"

Measured = Mapping[str, Sequence[Mapping[str, Any]]]
"""What each benchmark noted, by its module."""
Committed = Mapping[str, Mapping[str, float]]
"""The ratio of each name, by module."""


@dataclass(frozen=True)
class Line:
    """A ratio beside the committed one.

    Attributes:
        module: The benchmark.
        what: What was compared.
        entry: What was noted; none where a committed ratio was not measured.
        committed: The committed ratio; none where there is none.
    """

    module: str
    what: str
    entry: Mapping[str, Any] | None
    committed: float | None

    @property
    def verdict(self) -> str:
        """`new`, `as before`, `better`, `REGRESSED`, or `NOT MEASURED`."""
        return MISSING if self.entry is None else verdict(self.entry, self.committed)

    @property
    def is_bad(self) -> bool:
        """Whether something is to be done about it."""
        return self.verdict in (REGRESSED, MISSING)


def read(file: Path) -> list[dict[str, Any]]:
    """What a benchmark noted, the last of each name."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return list({entry["what"]: entry for entry in map(json.loads, lines)}.values())


def verdict(entry: Mapping[str, Any], committed: float | None) -> str:
    """How a ratio stands beside the committed one: `new`, `as before`, `better` or `REGRESSED`.

    Args:
        entry: What was noted.
        committed: The committed ratio; none where there is none.
    """
    if committed is None:
        return "new"
    # Ratios near nothing, such as 0.00 of the time, say little about each other.
    change = (entry["ratio"] - committed) / max(committed, 0.05)
    worse = -change if entry["more_is_better"] else change
    return REGRESSED if worse > NOISE else "better" if worse < -NOISE else "as before"


def compare(measured: Measured, committed: Committed) -> list[Line]:
    """Put what was measured beside what is committed, and name what is committed and was not measured.

    Args:
        measured: What the benchmarks that measured anything noted.
        committed: The committed ratios; those of benchmarks that did not run are left out.
    """
    lines: list[Line] = []
    for module, entries in measured.items():
        before = committed.get(module, {})
        lines += [Line(module, entry["what"], entry, before.get(entry["what"])) for entry in entries]
        seen = {entry["what"] for entry in entries}
        lines += [Line(module, what, None, ratio) for what, ratio in before.items() if what not in seen]
    return lines


def render(lines: Sequence[Line], machine: str, failed: Sequence[str], skipped: Sequence[str] = ()) -> str:
    """The table, in Markdown.

    Args:
        lines: What was compared.
        machine: The machine and the versions, in one line.
        failed: Benchmarks that did not end well.
        skipped: Benchmarks that measured nothing, because this machine lacks what they need.
    """
    text = [f"# Measured on {date.today().isoformat()}", "", machine, ""]
    text += ["| benchmark | what | ours | theirs | ratio | committed | | goal |", "|---|---|---|---|---|---|---|---|"]
    for line in lines:
        entry = line.entry or {"ours": "", "theirs": "", "goal": ""}
        ratios = ["" if one is None else f"{one:.2f}" for one in (entry.get("ratio"), line.committed)]
        cells = (line.module, line.what, entry["ours"], entry["theirs"], *ratios, line.verdict, entry["goal"])
        text.append(f"| {' | '.join(cells)} |")
    text += ["", f"Failed: {', '.join(failed)}."] if failed else []
    text += ["", f"Measured nothing here: {', '.join(skipped)}."] if skipped else []
    return "\n".join(text) + "\n"


def load_committed() -> dict[str, dict[str, float]]:
    """The committed ratios by module and name."""
    return json.loads(COMMITTED.read_text()) if COMMITTED.is_file() else {}


def commit(measured: Measured) -> None:
    """Take these ratios as those to compare with from now on; those of benchmarks that noted nothing stay."""
    ratios = load_committed()
    for module, entries in measured.items():
        if entries:
            ratios[module] = {entry["what"]: round(entry["ratio"], 3) for entry in entries}
    COMMITTED.write_text(json.dumps(ratios, indent=2, sort_keys=True) + "\n")
