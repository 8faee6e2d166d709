"""The README's program runs as it stands, and the pages that it names are there."""

import re

import pytest
from tests.end_to_end.project import REPOSITORY

README = (REPOSITORY / "README.md").read_text()

FIT = """
import argparse, json, pathlib
import numpy

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--degree", type=int)
args = parser.parse_args()
rows = numpy.loadtxt(next(pathlib.Path(args.data).rglob("*.csv")), delimiter=",")
pathlib.Path("outputs/model").mkdir(parents=True)
curve = numpy.polyfit(rows[:, 0], rows[:, 1], args.degree)
pathlib.Path("outputs/model/curve.json").write_text(json.dumps([round(float(value), 6) for value in curve]))
"""


@pytest.mark.end_to_end
def test_the_program_in_the_readme_runs(project):
    [program] = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "ts.Workspace" in block]
    project.write("__main__.py", program)
    project.write("scripts/fit.py", FIT)
    project.write("data/points.csv", "0,1\n1,2\n2,5\n3,10\n")
    project.up()
    model = project.outputs()["model"]
    assert model["name"] == "curve"
    assert model["version"] == 1
    curve_file = next((project.root / ".trainstack" / "mine" / "models" / "curve").rglob("curve.json"))
    assert curve_file.read_text() in ("[1.0, 0.0, 1.0]", "[1.0, -0.0, 1.0]")
    project.unchanged()


def test_every_page_that_a_page_names_is_there():
    missing = []
    for page in [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.relative_to(REPOSITORY)}: {target}")
    assert missing == []
