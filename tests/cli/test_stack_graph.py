"""A stack's graph: who comes from whom, what is known of it, what a preview would change."""

from pathlib import Path

from tests.core.preview.documents import RUN, exported, preview, retraining, state, step, urn

from trainstack.cli.preview.stack_graph import graph
from trainstack.core.preview.document import read_preview, read_state
from trainstack.core.preview.explanation import explain

WORKSPACE, DATA, FIT = urn("Workspace", "w"), urn("Dataset", "numbers"), urn("TrainingRun", "fit")
STACK = [
    state("Workspace", "w", {"root": ".trainstack/w"}),
    state("Environment", "tools", {}, {"packages": {"tensorflow-cpu": "2.15.1", "six": "1"}}),
    state("Dataset", "numbers", {}, {"version": 2.0, "file_count": 3.0, "size": 4_000_000.0}, workspace=WORKSPACE),
    state(
        *("TrainingRun", "fit", RUN, {"status": "completed", "duration": 2.25, "metrics": {"accuracy": 0.98765}}),
        workspace=WORKSPACE, data=DATA, environment=urn("Environment", "tools"),
    ),
    state("Model", "net", {}, {"version": 7.0, "aliases": {"production": 7}}, run_id=FIT, workspace=WORKSPACE),
    state("ServiceImage", "image", {}, model=urn("Model", "net")),
]  # fmt: skip


def drawn(*steps, tmp_path=Path()):
    previewed = read_preview(preview(*steps)) if steps else None
    return graph(read_state(exported(*STACK)), previewed, explain(previewed, tmp_path) if previewed else None)


def names(graph):
    return [[node.name for node in column] for column in graph.layers]


def test_each_stands_behind_all_that_it_comes_from():
    assert names(drawn()) == [["w"], ["tools", "numbers"], ["fit"], ["net"]]


def test_an_edge_that_follows_from_others_is_left_out():
    shown = {(source.rpartition("::")[2], target.rpartition("::")[2]) for source, target in drawn().edges}
    assert shown == {("w", "numbers"), ("numbers", "fit"), ("tools", "fit"), ("fit", "net")}


def test_what_is_known_is_said_in_a_few_words():
    facts = {node.name: node.facts for node in drawn().nodes}
    assert facts == {
        "w": [".trainstack/w"],
        "tools": ["tensorflow-cpu 2.15.1", "2 packages"],
        "numbers": ["version 2", "3 files, 4.0 MB"],
        "fit": ["completed in 2.2 s", "accuracy 0.9877"],
        "net": ["version 7", "production"],
    }


def test_what_a_preview_would_change_is_marked_and_says_why(tmp_path):
    gone, added = STACK[4], state("Model", "other", {}, run_id=FIT)
    shown = drawn(retraining(arguments={}), step("delete", gone, None), step("create", None, added), tmp_path=tmp_path)
    operations = {node.name: node.operation for node in shown.nodes}
    assert operations == {"w": "", "tools": "", "numbers": "", "fit": "replace", "net": "delete", "other": "create"}
    words = {node.name: node.change for node in shown.nodes if node.change}
    assert words["fit"] == "retrains: --rate removed"
    assert words["net"].startswith("leaves the stack")
    assert shown.layers[-1][-1].name == "other"


def test_drift_is_shown():
    [node] = graph(read_state(exported(state("Dataset", "numbers", {}, {"drift": ["a.txt changed"]})))).nodes
    assert node.drift == "a.txt changed"
