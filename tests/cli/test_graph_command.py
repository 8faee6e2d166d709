"""`trainstack graph`: pictures that are whole, and in which others' names stay text."""

import json
from xml.etree import ElementTree

import pytest
from tests.core.preview.documents import RUN, exported, preview, retraining, state, urn
from typer.testing import CliRunner

from trainstack.cli.app import app

EVIL = 'x"]; <script>alert(1)</script> & `b`'
DONE = {"status": "completed", "duration": 2.0}
STATE = exported(
    state("Workspace", "w", {"root": EVIL}),
    state("TrainingRun", "fit", RUN, DONE, workspace=urn("Workspace", "w")),
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preview.json").write_text(preview(retraining(arguments={"--rate": "0.2"})))

    def invoke(*arguments):
        return CliRunner().invoke(app, ["graph", "-", *arguments], input=STATE)

    return invoke


def test_the_picture_has_a_box_a_resource_and_a_line_an_edge(run, tmp_path):
    result = run("--preview-file", "preview.json")
    assert result.output == "wrote stack.svg: 2 resources, 1 of them would change\n"
    root = ElementTree.parse(tmp_path / "stack.svg").getroot()
    assert len(root.findall(f"{SVG}g")) == 2
    assert len(root.findall(f"{SVG}path")) == 1
    [changed] = [group for group in root.findall(f"{SVG}g") if "replace" in group.get("class", "")]
    assert [text.text for text in changed.findall(f"{SVG}text")][-1] == "retrains: --rate 0.1 → 0.2"


def test_text_stays_in_its_box(run, tmp_path):
    run("--preview-file", "preview.json")
    root = ElementTree.parse(tmp_path / "stack.svg").getroot()
    assert max(len(text.text or "") for group in root.findall(f"{SVG}g") for text in group.findall(f"{SVG}text")) <= 32


@pytest.mark.parametrize("name", ["stack.svg", "stack.html", "stack.mmd"])
def test_names_of_others_stay_text(run, tmp_path, name):
    assert run("--output", name).exit_code == 0
    text = (tmp_path / name).read_text()
    assert "<script" not in text
    assert '"];' not in text.replace('"]\n', "")


def test_mermaid_has_nodes_edges_and_marks(run, tmp_path):
    run("--preview-file", "preview.json", "--output", "stack.mmd")
    lines = (tmp_path / "stack.mmd").read_text().splitlines()
    assert lines[0] == "flowchart LR"
    assert "  n0 --> n1" in lines
    assert "  class n1 replaced" in lines


def test_json_has_nodes_and_edges(run):
    document = json.loads(run("--json").output)
    assert [node["name"] for node in document["nodes"]] == ["w", "fit"]
    assert document["edges"] == [[urn("Workspace", "w"), urn("TrainingRun", "fit")]]


def test_another_kind_of_picture_is_refused(run):
    result = run("--output", "stack.png")
    assert result.exit_code == 1
    assert "a picture's name ends with .svg, .html, .mmd" in result.output
