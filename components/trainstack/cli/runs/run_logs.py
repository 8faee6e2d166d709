"""`trainstack runs logs`: what a run prints, once or until it ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import RunArgument, WorkspaceOption, find_run
from trainstack.cli.runs.log_stream import follow
from trainstack.errors import InvalidInputError

if TYPE_CHECKING:
    from trainstack.core.runs.directory import RunDirectory

_RANK = re.compile(r"\[(\d+)\] (.*)", re.DOTALL)
_AGENT = "trainstack: "
_REFRESH_SECONDS = 2.0
_PAUSE_SECONDS = 0.2


def logs(
    run: RunArgument,
    keep_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    rank: Annotated[
        int | None, typer.Option("--rank", min=0, metavar="RANK", help="Only this rank; else all ranks, line by line.")
    ] = None,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, metavar="COUNT", help="Start with the last so many lines.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help='Print one JSON document a line: {"rank": …, "line": …}.')
    ] = False,
) -> None:
    """Print what a run printed.

    As it is in the log. --follow goes on until the run ends; Ctrl-C leaves the run alone.
    """
    directory = find_run(workspace, run)
    directory.refresh("logs")
    tasks = _tasks(directory, rank)
    prefix = f"[{rank}] ".encode() if rank is not None and tasks != 1 else b""
    ended = _Watch(directory, tell=not as_json) if keep_on else lambda: True
    write = _JsonLines(rank, tasks) if as_json else _raw
    empty = True
    for chunk in follow(directory.merged_log, ended, lines, prefix):
        write(chunk)
        empty = False
    if isinstance(write, _JsonLines):
        write.finish()
    elif empty and not keep_on and lines != 0:
        record = directory.read()
        output.note(f"run {record.name} ({record.id}), {record.status.value}, has printed nothing")


class _Watch:
    """Says when a followed run has ended, and meanwhile, on standard error, what there is to wait for."""

    def __init__(self, directory: RunDirectory, tell: bool) -> None:
        self._directory = directory
        self._tell: Callable[[str], None] = output.note if tell else lambda _: None
        self._told = ""
        self._refreshed = float("-inf")

    def __call__(self) -> bool:
        from trainstack.cli.runs.run_state import never_started, settled

        if self._directory.is_copy:
            # The store is asked now and then; in between nothing changes here.
            if time.monotonic() - self._refreshed < _REFRESH_SECONDS:
                time.sleep(_PAUSE_SECONDS)
                return False
            self._directory.refresh("logs")
            self._refreshed = time.monotonic()
        record = self._directory.read()
        over = settled(self._directory, record)
        text = f"{record.status.value}: {record.reason}" if record.reason else record.status.value
        if over and never_started(self._directory, record):
            text = "never started, its submission was killed: run `pulumi up` again"
        if text != self._told:
            self._told = text
            self._tell(f"run {record.name} ({record.id}) {text}")
        return over


def _tasks(directory: RunDirectory, rank: int | None) -> int | None:
    """Of how many processes the run is, where that is known.

    Raises:
        InvalidInputError: The run has no such rank.
    """
    from trainstack.cli.runs.run_report import submitted
    from trainstack.core.runs.distribution import parse

    request = submitted(directory)
    tasks = None
    if request is not None:
        distribution, nodes = parse(request.spec.distribution)
        tasks = distribution.task_count(nodes)
    if rank is not None and tasks is not None and rank >= tasks:
        ranks = "rank 0 alone" if tasks == 1 else f"ranks 0 to {tasks - 1}"
        raise InvalidInputError(f"run {directory.id} has no rank {rank}: it has {ranks}")
    return tasks


def _raw(chunk: bytes) -> None:
    typer.echo(chunk, nl=False)


class _JsonLines:
    """Prints each line with its rank; none for what the launch agent says itself."""

    def __init__(self, rank: int | None, tasks: int | None) -> None:
        from trainstack.agent.reporting.lines import LineSplitter

        self._rank = rank
        self._merged_of_many = rank is None and tasks is not None and tasks > 1
        self._splitter = LineSplitter()

    def __call__(self, chunk: bytes) -> None:
        self._print(self._splitter.feed(chunk))

    def finish(self) -> None:
        """Print the last line, when it had no end."""
        self._print(self._splitter.finish())

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            rank, text = self._parted(line)
            output.emit_json_line({"rank": rank, "line": text})

    def _parted(self, line: str) -> tuple[int | None, str]:
        if self._rank is not None:
            return self._rank, line
        if line.startswith(_AGENT):
            return None, line
        if not self._merged_of_many:
            return 0, line
        match = _RANK.match(line)
        return (int(match[1]), match[2]) if match else (None, line)
