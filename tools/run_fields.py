"""Write the tables of a run's fields in docs/fingerprint.md from the code: `make tables`."""

from __future__ import annotations

from pathlib import Path

from trainstack.core.runs.fields import COUNTED
from trainstack.core.runs.request import RunRequest
from trainstack.core.runs.run_field import RunField, run_fields

PAGE = Path(__file__).parents[1] / "docs" / "fingerprint.md"


def table(first: str, second: str, fields: dict[str, RunField]) -> str:
    """A table of fields, a row each."""
    rows = [
        f"| {field.label} | {', '.join(f'`{name}`' for name in field.arguments or (name,))} "
        f"| {field.note} | `{field.key or name}` |"
        for name, field in fields.items()
    ]
    return "\n".join([f"| {first} | arguments | {second} | in `--json` |", "|---|---|---|---|", *rows])


def written(page: str) -> str:
    """The page with its tables as the code has them."""
    tables = {
        "counted": table("counts", "how", COUNTED),
        "settings": table("does not count", "what it is", run_fields(RunRequest)),
    }
    for name, text in tables.items():
        before, _, rest = page.partition(f"<!-- {name}: `make tables` writes this -->\n")
        _, _, after = rest.partition("<!-- end -->")
        page = f"{before}<!-- {name}: `make tables` writes this -->\n{text}\n<!-- end -->{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
