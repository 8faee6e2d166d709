"""The words of the documentation and of the command line's help are the field's, by Google's developer style."""

import re

import pytest
import typer
from tests.end_to_end.project import REPOSITORY

from trainstack.cli.app import app

# What readers stumbled over, and what is written instead.
BETTER = {
    r"undoable": "reversible",
    r"a pod a node": "one pod per node",
    r"searches the best": "searches for the best hyperparameters",
    r"where to read on\b": "Documentation",
    r"who may ask": "Authentication",
    r"is put right": "is repaired",
    r"puts it right": "repairs it",
    r"way home": "file transfer",
    r"please": "(leave it out)",
    r"simply|obviously|of course": "(leave it out)",
    r"utilize": "use",
    r"in order to": "to",
    r"\be\.g\.|\bi\.e\.": "for example, that is",
    r"whitelist|blacklist": "allowlist, denylist",
    r"\b1 (nodes|files|runs|packages|models)\b": "one thing, without the s",
}
PAGES = [
    REPOSITORY / "README.md",
    *(path for path in sorted((REPOSITORY / "docs").rglob("*.md")) if "adr" not in path.parts),
]


def prose(text):
    """A page without its code."""
    return re.sub(r"```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


def helps(command, path=()):
    yield (
        " ".join(path),
        " ".join([command.help or "", *(getattr(option, "help", None) or "" for option in command.params)]),
    )
    for name in getattr(command, "commands", {}):
        yield from helps(command.commands[name], (*path, name))


def stumbles(text):
    return [
        f"{match[0]!r}: write {better}" for word, better in BETTER.items() for match in re.finditer(word, text, re.I)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_is_written_in_the_words_of_the_field(page):
    assert stumbles(prose(page.read_text())) == []


def test_the_helps_are_written_in_the_words_of_the_field():
    assert [(name, found) for name, text in helps(typer.main.get_command(app)) if (found := stumbles(text))] == []
