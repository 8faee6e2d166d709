"""Full load, three replacements and a killed worker: no wrong answer, no lost request but the killed worker's."""

import os
import subprocess
from pathlib import Path

import pytest
from benchmarks.serving_endurance import run
from tests.conftest import SAVE_ZOO
from tests.server.served import SERVER

pytestmark = pytest.mark.tensorflow


def test_replacements_and_a_killed_worker_lose_no_request(serving_python: Path, dense: Path, tmp_path: Path):
    other = tmp_path / "other"
    subprocess.run([serving_python, SAVE_ZOO, other, "serving_default", "--other"], check=True, capture_output=True)
    seconds = float(os.environ.get("ENDURANCE_SECONDS", "60"))
    report = run(serving_python, SERVER, [dense, other], b'{"instances": [[1, 2, 3, 4]]}', tmp_path, seconds)
    assert report.requests > 100
    assert (report.wrong, report.lost) == (0, 0), report
    assert report.lost_at_kill <= 8
    assert report.versions == {"1", "2"}
    before, after = report.memory
    assert after < 1.2 * before + 20, report
