"""`trainstack doctor`: is what Trainstack needs there and whole, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from trainstack.cli.doctor.check import Check


def doctor(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check the machine and the workspace.

    Ends with 1 when something that is needed is broken; warnings are no error.
    """
    from trainstack.cli.doctor.check import State

    checks = list(_checks(workspace))
    healthy = all(check.state is not State.BROKEN for check in checks)
    if as_json:
        output.emit_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    else:
        rows = [
            (check.state.value, check.name, f"{check.found}: {check.advice}" if check.advice else check.found)
            for check in checks
        ]
        output.table(("", "", ""), rows, header=False)
    if not healthy:
        raise typer.Exit(1)


def _checks(folder: Path | None) -> Iterator[Check]:
    from trainstack.cli.doctor import machine_checks, workspace_checks

    for name, look in machine_checks.LOOKS.items():
        yield from _guarded(name, look())
    workspace, found = workspace_checks.find(folder)
    yield found
    if workspace is not None:
        for name, look_into in workspace_checks.LOOKS.items():
            yield from _guarded(name, look_into(workspace))


def _guarded(name: str, looking: Iterable[Check]) -> Iterator[Check]:
    """The findings of one look; what a look trips over is a finding too."""
    from trainstack.cli.doctor.check import broken
    from trainstack.errors import TrainstackError

    try:
        yield from looking
    except TrainstackError as exc:
        yield broken(name, str(exc))
    except Exception as exc:  # noqa: BLE001 (one damaged thing must not hide how all the others are)
        yield broken(name, f"the check failed with {type(exc).__name__}: {exc}")
