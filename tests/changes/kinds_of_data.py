"""Changes of datasets, and of what is kept of runs and models."""

from __future__ import annotations

import os

from tests.changes.change import Change, edits, gone, program, renamed, text
from tests.changes.stack import Stack

LOCAL = ("Dataset numbers",)
REMOTE = ("Dataset page",)


def touch(stack: Stack) -> None:
    os.utime(stack.source / "data" / "a.txt", (1, 1))


def served(content: str, *, name: str = "page.txt"):
    """A page of this test's own, so that tests beside it see theirs."""

    def edit(stack: Stack) -> None:
        (stack.web / name).write_text(content)

    return edit


DATA = [
    Change("a local file is edited", text("data/a.txt", "1 2 4\n"), fit=("dataset numbers: a.txt changed",), follows=LOCAL),
    Change("a local file is added", text("data/c.txt", "7\n"), fit=("dataset numbers: c.txt added",), follows=LOCAL),
    Change("a local file is removed", gone("data/b.txt"), fit=("dataset numbers: b.txt removed",), follows=LOCAL),
    Change("a local file is renamed", renamed("data/b.txt", "data/z.txt"), fit=("dataset numbers: b.txt removed", "dataset numbers: z.txt added"), follows=LOCAL),
    Change("a file that the pattern leaves out is added", text("data/c.csv", "7\n")),
    Change("a local file is touched", touch),
    Change("a local file is written again with the same bytes", text("data/a.txt", "1 2 3\n")),
    Change("a dataset is described", program('paths=["data/*.txt"]', 'paths=["data/*.txt"], description="numbers"'), follows=LOCAL),
    Change("a dataset gets tags", program('paths=["data/*.txt"]', 'paths=["data/*.txt"], tags={"a": "b"}'), follows=LOCAL),
    Change("a dataset is named by its files one by one", program('paths=["data/*.txt"]', 'paths=["data/a.txt", "data/b.txt"]'), follows=LOCAL),
    Change("a dataset's folder is renamed", edits(lambda stack: (stack.source / "data").rename(stack.source / "input"), program("data/*.txt", "input/*.txt")), follows=LOCAL),
    Change("a mount becomes a download", program("numbers.as_mount()", "numbers.as_download()")),
    Change("a dataset is renamed", program('Dataset("numbers"', 'Dataset("digits"'), follows=("Dataset digits", "Dataset numbers", "TrainingRun fit")),
    Change("an address gets a query", edits(program("/page.txt", "/page.txt?v=2"), ), fit=("dataset page may change",), report=("--of may change",), follows=REMOTE, trains=frozenset()),
    Change("another address is given", edits(served("another\n", name="other.txt"), program("/page.txt", "/other.txt")), fit=("dataset page may change",), report=("--of may change",), follows=REMOTE),
    Change("a remote dataset is described", program('/page.txt"]', '/page.txt"], description="a page"'), follows=REMOTE),
]  # fmt: skip
