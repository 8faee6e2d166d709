"""One table of all ratios, with machine, versions and date, beside the ratios that are committed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).with_name("ratios.json")
# Ratios of one machine differ by so much from one run to the next; less is no news.
NOISE = 0.15


def read(file: Path) -> list[dict[str, Any]]:
    """What the benchmarks noted, the last of each name."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return list({entry["what"]: entry for entry in map(json.loads, lines)}.values())


def verdict(entry: dict[str, Any], committed: float | None) -> str:
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
    return "REGRESSED" if worse > NOISE else "better" if worse < -NOISE else "as before"


def render(entries: Sequence[dict[str, Any]], committed: dict[str, float], machine: str, failed: Sequence[str]) -> str:
    """The table, in Markdown.

    Args:
        entries: What was noted.
        committed: The committed ratios by name.
        machine: The machine and the versions, in one line.
        failed: Benchmarks that did not end well.
    """
    lines = [f"# Measured on {date.today().isoformat()}", "", machine, ""]
    lines += ["| what | ours | theirs | ratio | committed | | goal |", "|---|---|---|---|---|---|---|"]
    for entry in entries:
        before = committed.get(entry["what"])
        known = "" if before is None else f"{before:.2f}"
        cells = (entry["what"], entry["ours"], entry["theirs"], f"{entry['ratio']:.2f}", known, verdict(entry, before))
        lines.append(f"| {' | '.join(cells)} | {entry['goal']} |")
    lines += ["", f"Did not run or failed: {', '.join(failed)}."] if failed else []
    return "\n".join(lines) + "\n"


def load_committed() -> dict[str, float]:
    """The committed ratios by name."""
    return json.loads(COMMITTED.read_text()) if COMMITTED.is_file() else {}


def commit(entries: Sequence[dict[str, Any]]) -> None:
    """Take these ratios as those to compare with from now on; others stay."""
    ratios = load_committed() | {entry["what"]: round(entry["ratio"], 3) for entry in entries}
    COMMITTED.write_text(json.dumps(ratios, indent=2, sort_keys=True) + "\n")
