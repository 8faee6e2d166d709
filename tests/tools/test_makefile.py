"""What `make` says of a wrong variable."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_an_unknown_program_is_told_which_there_are():
    done = subprocess.run(["make", "preview", "PROGRAM=typo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no program 'typo': choose PROGRAM from mnist mnist_horovod" in done.stderr
