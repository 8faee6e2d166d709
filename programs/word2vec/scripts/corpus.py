"""The words of the dictionary, in their order."""

import re
from pathlib import Path

# Not running text: how a headword is pronounced, where it comes from, and who is quoted.
ASIDE = re.compile(r"\\[^\\\n]*\\|\[[^\]]{0,400}\]|\(\w[\w. ]{0,12}\.\)|--[A-Z][^\n]*")


def read_words(folder):
    """Read the one text file of a folder.

    Args:
        folder: The folder.

    Returns:
        Its words in lower case, without abbreviations of one letter.
    """
    [path] = [path for path in Path(folder).rglob("*") if path.is_file()]
    text = path.read_text(encoding="utf-8", errors="replace")
    return re.findall(r"[a-z]{2,}|\ba\b", ASIDE.sub(" ", text).lower())
