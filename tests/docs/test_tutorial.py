"""The tutorial, played line by line in an empty folder: what it says is what one sees."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.end_to_end.project import REPOSITORY

pytestmark = [pytest.mark.end_to_end, pytest.mark.tensorflow, pytest.mark.long]

PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(bash|python|text)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_tutorial_does_what_it_says(tmp_path):
    script = ["set -ex"]
    expected = []
    for kind, text in BLOCKS:
        if kind == "bash":
            script.append(text)
        elif kind == "python":
            script.append(f"cat > scripts/train.py <<'SCRIPT'\n{text}SCRIPT\n")
        else:
            expected.append(text.strip())
    hidden = ("PULUMI_", "TRAINSTACK_WORKSPACE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        for line in expected:
            assert line in done.stdout
        [prediction] = re.findall(r'"predictions":\s*\[\s*\[\s*([0-9.]+)', done.stdout)
        assert float(prediction) > 0.5
    finally:
        subprocess.run(["pulumi", "destroy", "--yes"], cwd=tmp_path / "flowers", env=environment, check=False)
