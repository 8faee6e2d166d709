"""What a script leaves beside its outputs, as the node's report names it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trainstack.agent.reporting.working_folder import WorkingFolder


def test_files_that_were_there_are_not_named(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("1")
    folder = WorkingFolder(str(tmp_path))
    (tmp_path / "train.py").write_text("2")
    assert folder.added() == ((), 0)


def test_new_files_are_named_by_their_paths(tmp_path: Path) -> None:
    folder = WorkingFolder(str(tmp_path))
    for name in ("saved/größe 1.h5", "a b.h5", "__pycache__/x.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"\xff")).touch()
    assert folder.added() == (("a b.h5", "saved/größe 1.h5", "\\xff"), 3)


def test_what_is_behind_a_link_is_not_beside(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "outputs").mkdir()
    (tmp_path / "code" / "outputs").symlink_to(tmp_path / "outputs")
    folder = WorkingFolder(str(tmp_path / "code"))
    (tmp_path / "code" / "outputs" / "model").touch()
    assert folder.added() == ((), 0)


def test_many_files_are_counted_and_some_named(tmp_path: Path) -> None:
    folder = WorkingFolder(str(tmp_path))
    for number in range(150):
        (tmp_path / f"{number:03}").touch()
    names, count = folder.added()
    assert (len(names), names[0], count) == (100, "000", 150)


def test_a_report_names_what_a_script_left(launch: Any) -> None:
    launch.write("open('model.h5', 'w')")
    assert launch.run() == [0]
    assert (launch.report().added_files, launch.report().added_count) == (("model.h5",), 1)
