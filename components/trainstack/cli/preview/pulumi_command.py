"""Pulumi's command line, run in place of a FILE that was not given, with its common errors in words that help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

from trainstack.abbreviation import abbreviated
from trainstack.core.workspace.project import pulumi_program
from trainstack.errors import TrainstackError

# What Pulumi says, and what to do about it.
_ADVICE = (
    (
        "no Pulumi.yaml project file found",
        "no Pulumi project in {folder} or a parent: change to the folder with Pulumi.yaml, or make a project with "
        "`trainstack init FOLDER`",
    ),
    (
        "no stack selected",
        "no stack is selected: {stacks}, or name one with --stack",
    ),
    (
        r"no stack named '(?P<stack>[^']*)' found",
        "there is no stack {stack!r}: {stacks}",
    ),
    (
        "passphrase must be set",
        "the stack's secrets need its passphrase: set PULUMI_CONFIG_PASSPHRASE (empty when the stack was made with an "
        "empty one), or PULUMI_CONFIG_PASSPHRASE_FILE",
    ),
    (
        "incorrect passphrase",
        "the passphrase is not the stack's: set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE, to the one "
        "that the stack was made with",
    ),
    (
        "PULUMI_ACCESS_TOKEN must be set",
        "Pulumi does not know where states are kept: add `backend: {{url: file://./.pulumi-state}}` to Pulumi.yaml, or "
        "run `pulumi login`",
    ),
    (
        "stack is currently locked",
        "another update holds the stack's lock: wait for it; when none runs any more, `pulumi cancel` removes the lock",
    ),
)


def preview_text(file: Path | None, stack: str | None, *options: str) -> str:
    """Read a preview: from a file, from standard input (`-`), or from `pulumi preview --json` run here.

    Args:
        file: The file; none runs the preview.
        stack: The stack to preview; the selected one when left out.
        options: More options of `pulumi preview`.

    Raises:
        TrainstackError: There is no Pulumi, or it printed no document; in one line that says what to do.
    """
    if file is not None:
        return read_text(file)
    done = _run(stack, "preview", "--json", *options)
    if done.returncode and "{" not in done.stdout:
        raise TrainstackError(_in_words("pulumi preview", done.stderr or done.stdout))
    return done.stdout


def state_text(file: Path | None, stack: str | None) -> str:
    """Read a stack's state: from a file, from standard input (`-`), or from `pulumi stack export` run here.

    Raises:
        TrainstackError: There is no Pulumi, or it printed no document; in one line that says what to do.
    """
    if file is not None:
        return read_text(file)
    # Without `--show-secrets`: no picture needs one.
    done = _run(stack, "stack", "export")
    if done.returncode:
        raise TrainstackError(_in_words("pulumi stack export", done.stderr or done.stdout))
    return done.stdout


def read_text(path: Path) -> str:
    """Read a document from a file, or from standard input (`-`)."""
    if str(path) == "-":
        return sys.stdin.read()
    return path.read_text(encoding="utf-8", errors="replace")


def _run(stack: str | None, *command: str) -> subprocess.CompletedProcess[str]:
    program = pulumi_program()
    if program is None:
        raise TrainstackError("pulumi is not on PATH: install it, or give FILE")
    words = [program, *command, "--non-interactive", *(["--stack", stack] if stack else [])]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _in_words(command: str, output: str) -> str:
    for pattern, advice in _ADVICE:
        if match := re.search(pattern, output):
            stacks = _known_stacks() if "{stacks}" in advice else ""
            return advice.format(folder=Path.cwd(), stacks=stacks, **match.groupdict())
    return f"`{command}` failed: {' '.join(output.removeprefix('error: ').split())}"


def _known_stacks() -> str:
    """Say which stacks there are to select, or how to make the first."""
    try:
        listed: Any = json.loads(_run(None, "stack", "ls", "--json").stdout)
        entries = cast("list[dict[str, Any]]", listed)
        names = sorted(str(stack["name"]) for stack in entries)
    except (ValueError, TypeError, KeyError):
        names = []
    if not names:
        return "make one with `pulumi stack init dev`"
    return f"select one with `pulumi stack select NAME` (there is {abbreviated(names)})"
