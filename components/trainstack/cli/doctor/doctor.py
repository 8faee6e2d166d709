"""`trainstack doctor`: check that everything Trainstack needs is present and works, and say what to do where not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        output.emit_json({"healthy": healthy, "checks": [_to_json(check) for check in checks]})
    else:
        rows = [
            (check.state.value, check.name, f"{check.detail}: {check.advice}" if check.advice else check.detail)
            for check in checks
        ]
        output.table(("", "", ""), rows, header=False)
    if not healthy:
        raise typer.Exit(1)


def _to_json(check: Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state.value, "found": check.detail, "advice": check.advice}


def _checks(folder: Path | None) -> Iterator[Check]:
    from trainstack.cli.doctor import machine_checks, workspace_checks

    for name, check_machine in machine_checks.CHECKS.items():
        yield from _guarded(name, check_machine())
    workspace, finding = workspace_checks.find(folder)
    yield finding
    if workspace is not None:
        for name, check_workspace in workspace_checks.CHECKS.items():
            yield from _guarded(name, check_workspace(workspace))


def _guarded(name: str, checks: Iterable[Check]) -> Iterator[Check]:
    """Yield the results of a check; an error in it is a result too."""
    from trainstack.cli.doctor.check import broken
    from trainstack.errors import TrainstackError

    try:
        yield from checks
    except TrainstackError as exc:
        yield broken(name, str(exc))
    except Exception as exc:  # noqa: BLE001 (one damaged thing must not hide how all the others are)
        yield broken(name, f"the check failed with {type(exc).__name__}: {exc}")
