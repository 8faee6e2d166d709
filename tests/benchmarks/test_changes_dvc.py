"""What the comparison with DVC takes for the cause of a change."""

import pytest
from benchmarks.changes_dvc import GROUPS, NO_NOTION, cause


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        ("sub/more.py changed", "sub/more.py"),
        ("a b.txt added", "a b.txt"),
        ("mode of net.py 644 → 755", "net.py"),
        ("--sizes 1 2 → 1 3", "--sizes"),
        ("--new added (7)", "--new"),
        ("dataset numbers: a.txt removed", "a.txt"),
    ],
)
def test_a_reason_is_about_a_file_or_argument(line, subject):
    assert cause(line) == subject


def test_what_is_left_out_is_a_kind():
    assert NO_NOTION.keys() <= {change.name for kinds in GROUPS.values() for change in kinds}
