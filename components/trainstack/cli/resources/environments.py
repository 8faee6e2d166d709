"""`trainstack environments`: the curated ones, and what is built on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import output
from trainstack.cli.command_group import command_group
from trainstack.cli.options import JsonOption
from trainstack.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from trainstack.core.environments.environment import BuiltEnvironment, EnvironmentSpec

app = command_group("Training environments: list, show.")


@dataclass(frozen=True)
class EnvironmentReport:
    """An environment as `trainstack environments` prints it; its fields are those of the JSON document.

    Attributes:
        name: Its curated name; empty for one that only a folder of the cache holds.
        curated: Whether it is one of Trainstack's own.
        digest: The digest of its lock.
        python: Its Python's version.
        state: `ready`, `building`, `broken` or `not built`.
        reason: Why it is broken; empty when it is not.
        folder: Its folder on this machine.
        packages: The requirements that it asks for.
        variables: The environment variables that it sets.
        locked: The version of each locked package.
    """

    name: str
    curated: bool
    digest: str
    python: str
    state: str
    reason: str
    folder: str
    packages: list[str]
    variables: dict[str, str]
    locked: dict[str, str]


@app.command("list")
def list_environments(as_json: JsonOption = False) -> None:
    """List the curated environments, and those that are built on this machine."""
    reports = _all_reports()
    if as_json:
        output.emit_json([_summary(report) for report in reports])
        return
    output.table(
        ("name", "state", "python", "packages", "digest"),
        [(report.name, report.state, report.python, len(report.locked), report.digest) for report in reports],
    )


@app.command("show")
def show(
    environment: Annotated[
        str, typer.Argument(metavar="ENVIRONMENT", help="A curated name, or the start of a built one's digest.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show an environment: its state on this machine and every locked package."""
    report = _find(environment)
    if as_json:
        output.emit_json(asdict(report))
        return
    facts = [
        (label, fact)
        for label, fact in (
            ("name", report.name),
            ("digest", report.digest),
            ("python", report.python),
            ("state", report.state),
            ("reason", report.reason),
            ("folder", report.folder),
        )
        if fact
    ]
    output.table(("", ""), facts, header=False)
    output.section("Asked for", ("",), [(requirement,) for requirement in report.packages])
    output.section("Variables", ("", ""), [*report.variables.items()])
    output.section("Locked", ("", ""), [*report.locked.items()])


def _find(reference: str) -> EnvironmentReport:
    from trainstack.core.environments.environment import CURATED_PREFIX

    reports = _all_reports()
    matches = [report for report in reports if report.name == reference]
    matches = matches or [
        report for report in reports if report.name and report.name.removeprefix(CURATED_PREFIX) == reference
    ]
    matches = matches or [report for report in reports if report.digest.startswith(reference)]
    if len({report.digest for report in matches}) > 1:
        raise InvalidInputError(f"{reference!r} fits {len(matches)} environments: give more digits of the digest")
    if not matches:
        raise NotFoundError(f"no environment {reference!r}: see `trainstack environments list`")
    return matches[0]


def _all_reports() -> list[EnvironmentReport]:
    """Report every environment that has a name or a folder here: curated ones first."""
    from trainstack.cli.resources.built_environments import cached_environments
    from trainstack.core.environments.environment import curated_names, get_curated, location, lock

    reports: list[EnvironmentReport] = []
    for name in curated_names():
        spec = get_curated(name)
        locked = lock(spec)
        reports.append(_report(location(locked), locked.python, locked.packages, spec))
    curated_digests = {report.digest for report in reports}
    reports += [
        _report(cached.built, cached.python, cached.packages, None)
        for cached in cached_environments()
        if cached.built.digest not in curated_digests
    ]
    return reports


def _report(
    built: BuiltEnvironment, python: str, locked: dict[str, str], spec: EnvironmentSpec | None
) -> EnvironmentReport:
    from trainstack.cli.resources.built_environments import state

    build_state, reason = state(built)
    return EnvironmentReport(
        name=spec.name if spec else "",
        curated=spec is not None,
        digest=built.digest,
        python=python,
        state=build_state,
        reason=reason,
        folder=str(built.folder),
        packages=list(spec.packages) if spec else [],
        variables=spec.variables if spec else {},
        locked=locked,
    )


def _summary(report: EnvironmentReport) -> dict[str, object]:
    document = asdict(report)
    del document["locked"]
    return {**document, "package_count": len(report.locked)}
