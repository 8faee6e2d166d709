"""Which files of a source folder are no code, by ignore files as git reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_IGNORE_FILES = (".trainstackignore", ".gitignore")
_OTHER_IGNORE_FILES = (".amlignore", ".dvcignore", ".dockerignore")
# Never part of a run's code: version control, caches, and the folders that a run itself writes.
ALWAYS_IGNORED = (
    ".git/",
    ".hg/",
    ".svn/",
    "__pycache__/",
    "*.pyc",
    ".DS_Store",
    ".venv/",
    ".trainstack/",
    ".pulumi-state/",
    ".ipynb_checkpoints/",
    "/outputs",
    "/logs",
)
# Keys and passwords: no code either, unless a rule names them.
SECRETS = (
    ".env",
    ".env.*",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".pgpass",
    ".git-credentials",
    ".aws/",
    ".azure/",
    ".ssh/",
    ".gnupg/",
    ".kube/",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
)

# The group of the library's expressions that holds the slash behind a folder.
_FOLDER_END = "ps_d"


class IgnoreRules:
    """What is no code: the usual rules, and the ignore files of the folders that were entered, as git reads them.

    Args:
        source: The source folder.

    Attributes:
        unread: Ignore files of other tools in the source folder, where it has none that is read.
        secrets: What was left out because its name is that of a secret, a folder with a slash at its end.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._rules: list[tuple[str, list[_Rule]]] = []
        self.secrets: list[str] = []
        is_ours = any((source / name).is_file() for name in _IGNORE_FILES)
        self.unread = () if is_ours else tuple(name for name in _OTHER_IGNORE_FILES if (source / name).is_file())

    def enter(self, folder: str) -> None:
        """Read the ignore file of a folder, relative to the source with a slash at its end."""
        path = next((path for name in _IGNORE_FILES if (path := self._source / folder / name).is_file()), None)
        if path is None:
            return
        # Lines end as git has it, not wherever Unicode knows a line end.
        lines = path.read_bytes().decode("utf-8-sig", "replace").split("\n")
        self._rules.append((folder, _read(lines)))

    def ignores(self, name: str) -> bool:
        """Whether a path is no code; a folder's ends with a slash. Nothing is asked about what an ignored folder holds.

        The last rule that matches decides, those of deeper folders after those above.
        """
        last = name.rstrip("/").rpartition("/")[2]
        # No rule brings git's own folder back. An ignore file says what is code; it is not code itself, so a comment in
        # it retrains nothing.
        if last == ".git" or (last in _IGNORE_FILES and not name.endswith("/")):
            return True
        rule = self._rule_for(name)
        if rule is not None and rule.pattern.include:
            return True
        if _fits_any(SECRETS, name) and (rule is None or not rule.names):
            self.secrets.append(name)
            return True
        return rule is None and always_ignored(name)

    def _rule_for(self, name: str) -> _Rule | None:
        """The last rule that matches a path."""
        for folder, rules in reversed(self._rules):
            if name.startswith(folder):
                below = name.removeprefix(folder)
                for rule in reversed(rules):
                    if rule.matches(below):
                        return rule
        return None


@dataclass(frozen=True)
class _Rule:
    """A line of an ignore file.

    Attributes:
        pattern: As the library reads it.
        anchored: Whether it is about paths; otherwise it is about names, wherever they are.
        names: Whether it says more of a name than `*` does.
    """

    pattern: GitIgnoreSpecPattern
    anchored: bool
    names: bool

    def matches(self, name: str) -> bool:
        """Whether it is about this very path. The library's answer is also yes for all that a matching folder holds."""
        if not self.anchored:
            name = name[name.rstrip("/").rfind("/") + 1 :]
        result = self.pattern.match_file(name)
        if result is None:
            return False
        match = cast("re.Match[str]", result.match)  # pyright: ignore[reportUnknownMemberType]
        end = match.start(_FOLDER_END) if _FOLDER_END in match.re.groupindex else -1
        return end in (-1, len(name) - 1)


def _read(lines: Sequence[str]) -> list[_Rule]:
    """The rules among the lines. Git passes over what is no pattern; the library refuses it."""
    # Most folders have none, and what reads one takes a hundredth of a preview to load.
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    rules: list[_Rule] = []
    for line in lines:
        text = _in_words_of_the_library(line.removesuffix("\r"))
        try:
            pattern = GitIgnoreSpecPattern(text)
        except ValueError:
            continue
        if pattern.include is not None:
            path = text.rstrip().removesuffix("/")
            rules.append(_Rule(pattern, "/" in path, path.rpartition("/")[2].strip("!*?") != ""))
    return rules


def _in_words_of_the_library(line: str) -> str:
    """A rule with `**` at its end stands, to git, for what is below and never for the folder itself."""
    text = line.rstrip()
    if text.endswith("/**"):
        return f"{text}/*"
    return f"{text}*/" if text.endswith("/**/") or text.removeprefix("!") == "**/" else line


def always_ignored(name: str) -> bool:
    """What git would say of a path, by `ALWAYS_IGNORED` alone; the folders above it are not.

    Most folders have no ignore file, and what reads one takes a hundredth of a preview to load.

    Args:
        name: The path, relative to the source folder; a folder's ends with a slash.
    """
    return _fits_any(ALWAYS_IGNORED, name)


def _fits_any(rules: Sequence[str], name: str) -> bool:
    path = name.rstrip("/")
    last = path.rpartition("/")[2]

    def fits(rule: str) -> bool:
        if rule.startswith("/"):
            return path == rule[1:]
        if rule.endswith("/"):
            return name.endswith("/") and last == rule[:-1]
        return fnmatchcase(last, rule)

    return any(map(fits, rules))
