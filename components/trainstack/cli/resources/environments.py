"""`trainstack environments`: the curated ones, and what is built on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainstack.cli import output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption
from trainstack.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from trainstack.core.environments.environment import BuiltEnvironment, EnvironmentSpec

app = command_group("Training environments: list, show.")


@app.command("list")
def list_environments(as_json: JsonOption = False) -> None:
    """List the curated environments, and those that are built on this machine."""
    found = _all()
    if as_json:
        output.emit_json([_short(one) for one in found])
        return
    output.table(
        ("name", "state", "python", "packages", "digest"),
        [(one["name"], one["state"], one["python"], len(one["locked"]), one["digest"]) for one in found],
    )


@app.command("show")
def show(
    environment: Annotated[
        str, typer.Argument(metavar="ENVIRONMENT", help="A curated name, or the start of a built one's digest.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show an environment: its state on this machine and every locked package."""
    found = _find(environment)
    if as_json:
        output.emit_json(found)
        return
    facts = [(name, found[name]) for name in ("name", "digest", "python", "state", "reason", "folder") if found[name]]
    output.table(("", ""), facts, header=False)
    output.section("Asked for", ("",), [(line,) for line in found["packages"]])
    output.section("Variables", ("", ""), [*found["variables"].items()])
    output.section("Locked", ("", ""), [*found["locked"].items()])


def _find(reference: str) -> dict[str, Any]:
    from trainstack.core.environments.environment import CURATED_PREFIX

    every = _all()
    named = [one for one in every if one["name"] and one["name"].removeprefix(CURATED_PREFIX) == reference]
    fitting = [one for one in every if one["name"] == reference] or named
    fitting = fitting or [one for one in every if one["digest"].startswith(reference)]
    if len({one["digest"] for one in fitting}) > 1:
        raise InvalidInputError(f"{reference!r} fits {len(fitting)} environments: give more digits of the digest")
    if not fitting:
        raise NotFoundError(f"no environment {reference!r}: see `trainstack environments list`")
    return fitting[0]


def _all() -> list[dict[str, Any]]:
    """Every environment that has a name or a folder here: curated ones first."""
    from trainstack.cli.resources.built_environments import built_here
    from trainstack.core.environments.environment import curated_names, get_curated, location, lock

    curated: list[dict[str, Any]] = []
    for name in curated_names():
        spec = get_curated(name)
        locked = lock(spec)
        curated.append(_described(location(locked), locked.python, locked.packages, spec))
    named = {one["digest"] for one in curated}
    others = [
        _described(one.built, one.python, one.packages, None) for one in built_here() if one.built.digest not in named
    ]
    return curated + others


def _described(
    built: BuiltEnvironment, python: str, locked: dict[str, str], spec: EnvironmentSpec | None
) -> dict[str, Any]:
    from trainstack.cli.resources.built_environments import state

    how, reason = state(built)
    return {
        "name": spec.name if spec else "",
        "curated": spec is not None,
        "digest": built.digest,
        "python": python,
        "state": how,
        "reason": reason,
        "folder": str(built.folder),
        "packages": list(spec.packages) if spec else [],
        "variables": spec.variables if spec else {},
        "locked": locked,
    }


def _short(one: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in one.items() if name != "locked"}, "package_count": len(one["locked"])}
