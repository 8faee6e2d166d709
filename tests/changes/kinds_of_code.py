"""Changes of a run's code."""

from __future__ import annotations

import os

from tests.changes.change import Change, data, edits, gone, program, renamed, text
from tests.changes.stack import Stack, link


def touch(stack: Stack) -> None:
    for path in (stack.source / "scripts").rglob("*.py"):
        os.utime(path, (1, 1))


def mode(name: str, bits: int):
    return lambda stack: (stack.source / name).chmod(bits)


CODE = [
    Change("the script is edited", text("scripts/fit.py", "import pathlib\npathlib.Path('outputs/line').mkdir()\npathlib.Path('outputs/line/x').touch()\n"), fit=("fit.py changed",)),
    Change("a module is edited", text("scripts/net.py", "LAYERS = 3\n"), fit=("net.py changed",)),
    Change("a module in a folder is edited", text("scripts/sub/more.py", "MORE = 2\n"), fit=("sub/more.py changed",)),
    Change("a comment is added to a module", text("scripts/net.py", "LAYERS = 2  # two\n"), fit=("net.py changed",)),
    Change("line ends become those of Windows", data("scripts/net.py", b"LAYERS = 2\r\n"), fit=("net.py changed",)),
    Change("a file is added", text("scripts/extra.py", "EXTRA = 1\n"), fit=("extra.py added",)),
    Change("an empty file is added", text("scripts/empty.txt", ""), fit=("empty.txt added",)),
    Change("a binary file is added", data("scripts/blob.bin", bytes(range(256))), fit=("blob.bin added",)),
    Change("a file with spaces in its name is added", text("scripts/a b.txt", "x"), fit=("a b.txt added",)),
    Change("a file with a name in Unicode is added", text("scripts/größe.txt", "x"), fit=("größe.txt added",)),
    Change("a file is removed", gone("scripts/sub/more.py"), fit=("sub/more.py removed",)),
    Change("a file is renamed", renamed("scripts/sub/more.py", "scripts/sub/less.py"), fit=("sub/less.py added", "sub/more.py removed")),
    Change("two files are edited", edits(text("scripts/net.py", "LAYERS = 4\n"), text("scripts/sub/more.py", "MORE = 4\n")), fit=("net.py changed", "sub/more.py changed")),
    Change("files are touched", touch),
    Change("a file is written again with the same bytes", text("scripts/net.py", "LAYERS = 2\n")),
    Change("an ignored file is edited", text("scripts/notes", "other notes\n")),
    Change("a comment is added to the ignore file", text("scripts/.gitignore", "# not code\nnotes\n")),
    Change("a rule ignores a file", text("scripts/.gitignore", "notes\nsub/\n"), fit=("sub/more.py removed",)),
    Change("a rule no longer ignores a file", text("scripts/.gitignore", "# nothing\n"), fit=("notes added",)),
    Change("a rule is negated", text("scripts/.gitignore", "notes\n!notes\n"), fit=("notes added",)),
    Change("a nested ignore file ignores a file", text("scripts/sub/.gitignore", "more.py\n"), fit=("sub/more.py removed",)),
    Change("an ignore file begins with a byte order mark", data("scripts/.gitignore", b"\xef\xbb\xbfnotes\n")),
    Change("an ignore file holds a lone exclamation mark", text("scripts/.gitignore", "notes\n!\n")),
    Change("an ignore file holds a lone backslash", text("scripts/.gitignore", "notes\n\\\n")),
    Change("an own ignore file comes before git's", text("scripts/.trainstackignore", "# all is code\n"), fit=("notes added",)),
    Change("bytecode appears", data("scripts/__pycache__/net.cpython-311.pyc", b"\0")),
    Change("a version control folder appears", text("scripts/.git/HEAD", "ref: x\n")),
    Change("outputs of a run by hand appear", text("scripts/outputs/line/line.txt", "1\n")),
    Change("group rights of a file change", mode("scripts/net.py", 0o664)),
    Change("a file becomes a program", mode("scripts/net.py", 0o744), fit=("mode of net.py 644 → 755",)),
    Change("a program is added", edits(text("scripts/go.sh", "#!/bin/sh\n"), mode("scripts/go.sh", 0o755)), fit=("go.sh added",)),
    Change("a file becomes a link to the same bytes", edits(text("scripts/sub/net.py", "LAYERS = 2\n"), lambda stack: link(stack.source / "scripts/net.py", "sub/net.py")), fit=("sub/net.py added",)),
    Change("a link to a folder appears", lambda stack: link(stack.source / "scripts/again", "sub"), fit=("again/more.py added",)),
    Change("another script is chosen", edits(text("scripts/other.py", "import pathlib\npathlib.Path('outputs/line').mkdir()\npathlib.Path('outputs/line/x').touch()\n"), program('script="fit.py"', 'script="other.py"')), fit=("script fit.py → other.py", "other.py added")),
    Change("the source folder is renamed", edits(lambda stack: (stack.source / "scripts").rename(stack.source / "code"), program('source_directory="scripts"', 'source_directory="code"'))),
    Change("code of the other run is edited", text("reports/report.py", "print('short')\n"), report=("report.py changed",)),
]  # fmt: skip
