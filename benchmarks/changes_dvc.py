"""The kinds of change of `tests/changes`, played on Trainstack and on DVC: whose verdict is right, who names the cause.

DVC is given the same files, arguments as parameters, and the data as a folder that it tracks, in two layouts: a stage
depends on the folder of its code, or on each file of it. A verdict is right when just the stages with a cause of their
own are to run again. A cause is named exactly when each file or argument that changed is named and nothing else.

Usage: `python -m benchmarks.changes_dvc --dvc PYTHON [GROUP…]`, the interpreter of an environment with DVC. Prints a
table, and on standard error each kind of which something is wrong.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from tests.changes.change import MOVED, Change
from tests.changes.example import FILES
from tests.changes.kinds_of_code import CODE
from tests.changes.kinds_of_data import DATA
from tests.changes.kinds_of_settings import ARGUMENTS
from tests.changes.stack import Stack
from tests.end_to_end.project import Project, new_project

from benchmarks.dvc_project import DEPENDENCIES, Dvc, DvcProject, dvc_project

GROUPS = {"code": CODE, "arguments": ARGUMENTS, "local data": [change for change in DATA if "local" in change.name]}
NO_NOTION = {
    "a nested ignore file ignores a file": "no ignore file may be in a folder that a stage depends on",
    "an own ignore file comes before git's": "DVC reads one kind of ignore file",
    "another script is chosen": "a command is one text",
    "the source folder is renamed": "a dependency is known by its path",
}
"""Kinds that are left out, and why."""

Judge = Callable[[Change, Path], tuple[bool, bool]]
"""Plays a kind in a copy at the path: whether the verdict is right, and the cause named exactly."""


def judge_dvc(change: Change, project: DvcProject) -> tuple[bool, bool]:
    """Whether DVC's verdict is right, and whether it names just what changed."""
    change.edit(cast("Stack", project))
    causes = project.causes()
    own = {"fit": change.fit, "report": tuple(line for line in change.report or () if line != MOVED)}
    expected = {stage: {cause(line) for line in lines} for stage, lines in own.items() if lines}
    named = {
        stage: {re.sub(r"^(scripts|reports|data)/", "", name) for name in names} for stage, names in causes.items()
    }
    return causes.keys() == expected.keys(), named == expected


def judge_ours(change: Change, stack: Stack) -> tuple[bool, bool]:
    """The same of `trainstack plan`; runs that only follow count too."""
    change.edit(stack)
    runs = [run for run in stack.plan()["runs"] if not run["adopted"]]
    reasons = {run["name"]: [re.sub(r"\b[0-9a-f]{16}\b", "ID", line) for line in run["reasons"]] for run in runs}
    return reasons.keys() == change.runs().keys(), reasons == change.runs()


def main() -> None:
    """Play all kinds and print the table."""
    parser = argparse.ArgumentParser(description="Kinds of change on Trainstack and on DVC.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}; all when left out")
    parser.add_argument("--dvc", required=True, metavar="PYTHON", help="interpreter of an environment with DVC")
    options = parser.parse_args()
    dvc = Dvc(options.dvc)
    groups: Sequence[str] = options.groups or list(GROUPS)
    with tempfile.TemporaryDirectory(prefix="trainstack-changes-") as folder:
        stack = new_project(Path(folder) / "stack")
        for name, text in FILES.items():
            stack.write(name, re.sub(r".*page.*\n", "", text))
        stack.up()
        judges: dict[str, Judge] = {
            "Trainstack": lambda change, copy: judge_ours(
                change, Stack(Project(_copy(stack.root, copy), {"PULUMI_STACK": "test"}), copy)
            )
        }
        for layout in DEPENDENCIES:
            source = dvc_project(Path(folder) / layout, layout, dvc).source
            judges[layout] = lambda change, copy, source=source: judge_dvc(change, DvcProject(_copy(source, copy), dvc))
        print(f"| changes of | kinds | {' | '.join(f'{who}: verdict | cause' for who in judges)} |")
        print("|---" * (2 + 2 * len(judges)) + "|")
        for group in groups:
            _play(group, judges, Path(folder) / "copy")
        stack.pulumi("destroy", "--yes", "--skip-preview")


def _play(group: str, judges: Mapping[str, Judge], copy: Path) -> None:
    """Play the kinds of a group, and print its row."""
    kinds = [change for change in GROUPS[group] if change.name not in NO_NOTION]
    scores: list[str] = []
    for who, judge in judges.items():
        results = [judge(change, copy) for change in kinds]
        for change, (verdict, named) in zip(kinds, results, strict=True):
            if not (verdict and named):
                print(f"{who}: {change.name}: {'cause' if verdict else 'verdict'}", file=sys.stderr)
        scores += [str(sum(column)) for column in zip(*results, strict=True)]
    print(f"| {group} | {len(kinds)} | {' | '.join(scores)} |", flush=True)


def _copy(source: Path, copy: Path) -> Path:
    shutil.rmtree(copy, ignore_errors=True)
    return Path(shutil.copytree(source, copy, symlinks=True))


def cause(line: str) -> str:
    """The file or argument that a reason is about."""
    line = re.sub(r"^(dataset numbers: |mode of )", "", line)
    return re.split(r" (?:changed|added|removed)|(?<=\S) \S.* → ", line)[0]


if __name__ == "__main__":
    main()
