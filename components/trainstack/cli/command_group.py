"""Groups of commands, and the one place where an error becomes one line and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from trainstack.cli.commands import Commands
from trainstack.errors import TrainstackError

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


class RootGroup(TyperGroup):
    """The root command: an error that a person can act on ends it with one line on standard error."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # Typer never adds to it.
        self.commands = cast(Any, Commands())

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "trainstack",
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run a command and end the process.

        Args:
            args: What follows the program's name; those of the process when left out.
            prog_name: The program's name in messages.
            complete_var: The variable by which a shell asks for completion; named after the program when left out.
            standalone_mode: Of no effect: errors are always handled here.
            windows_expand_args: As typer has it.
            **extra: As typer has it.

        Raises:
            SystemExit: Always: 0; 1 for an error; 2 for wrong use; 130 when interrupted.
        """
        words = list(sys.argv[1:] if args is None else args)
        in_json = "--json" in (words[: words.index("--")] if "--" in words else words)
        try:
            code: Any = super().main(words, prog_name, complete_var, False, windows_expand_args, **extra)
            sys.stdout.flush()
        except TrainstackError as exc:
            _end(str(exc), FAILED, in_json)
        except typer.TyperException as exc:
            _end(_usage(exc), exc.exit_code, in_json)
        except (KeyboardInterrupt, typer.Abort):
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader has closed the pipe, as `head` does. Nothing may be flushed into it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(FAILED)
        except OSError as exc:
            _end(f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc), FAILED, in_json)
        sys.exit(code if isinstance(code, int) else 0)


def command_group(help_text: str, cls: type[TyperGroup] | None = None) -> typer.Typer:
    """Make an empty group of commands.

    Args:
        help_text: Its line in the help.
        cls: Its class, where it is not the usual one.
    """
    # Plain help: the formatted one imports a Markdown parser, which takes longer than everything else.
    group = typer.Typer(cls=cls, help=help_text, rich_markup_mode=None, pretty_exceptions_enable=False)
    if cls is None:
        group.callback(invoke_without_command=True)(help_when_bare)
    return group


def help_when_bare(context: typer.Context) -> None:
    """Print the group's help when it is called without a command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _usage(exc: typer.TyperException) -> str:
    context = getattr(exc, "ctx", None)
    see = f" (see `{context.command_path} --help`)" if context is not None else ""
    return exc.format_message().rstrip(".") + see


def _end(message: str, code: int, in_json: bool) -> NoReturn:
    line = " ".join(message.split())
    print(json.dumps({"error": line}) if in_json else f"error: {line}", file=sys.stderr)
    sys.exit(code)
