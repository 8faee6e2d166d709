"""The page on security claims what a test shows: each test that it names is there, and each attack is on it."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:\w+/)+test_\w+\.py)(?:::(\w+))?`", PAGE)))


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_tests_that_the_page_names_are_there():
    assert not [file for file, _ in NAMED if not (TESTS / file).is_file()]
    assert not [f"{file}::{name}" for file, name in NAMED if name and name not in functions(file)]


def test_each_attack_is_on_the_page():
    attacks = {f"attack/{path.name}" for path in (TESTS / "attack").glob("test_*.py")}
    assert attacks <= {file for file, _ in NAMED}


def test_each_claim_of_a_table_names_its_test():
    claims = [line for line in PAGE.partition("## What nothing stops")[0].splitlines() if line.startswith("| ")]
    heads = [line for line in claims if line.endswith("| shown by |")]
    assert len(heads) == PAGE.count("| shown by |") > 5
    assert [line for line in claims if line not in heads and "test_" not in line.rpartition(" | ")[2]] == []
