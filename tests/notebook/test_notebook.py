"""Runs and sweeps in a real notebook, looked at in a real browser."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import expect, sync_playwright
from tests.core.sample_runs import request, tiny_environment

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.runs.execution import submission
from trainstack.core.sweeps import sweep
from trainstack.core.sweeps.record import Search, SweepRequest
from trainstack.core.workspace.workspace import Workspace

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
# Written as an MLflow client writes it.
SCRIPT = """
import math, os, pathlib, sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rate = float(arguments["--learning-rate"])
run = pathlib.Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("file://"), "0", "aa")
(run / "metrics").mkdir(parents=True)
(run / "meta.yaml").touch()
for epoch in range(1, 13):
    quality = 1 - (math.log10(rate) + 2) ** 2 / 12
    values = {"accuracy": quality * (1 - math.exp(-epoch / 3)), "loss": math.exp(-quality * epoch / 4)}
    for name, value in values.items():
        with (run / "metrics" / name).open("a") as file:
            file.write(f"{int(time.time() * 1000)} {value} {epoch}\\n")
    print("epoch", epoch)
pathlib.Path("outputs/model.txt").write_text("weights")
"""
CELLS = [
    "import trainstack as ts\nhistory = ts.History({folder!r})\nhistory",
    "history.run('mnist-mlp')",
    "history.sweep('tune')",
    "run = history.runs(name='mnist-mlp')[0]\n"
    "run.metrics['loss'], run.points('loss')[0], run.logs.splitlines()[-1], run.parameters",
    "[len(run.download_files('outputs')), repr(run), repr(history.sweeps()[0].best_run)]",
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    source = folder / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    made = Workspace.create(folder / "ws", "ws")
    asked = request(
        tiny_environment(), source, {"--learning-rate": 0.01}, compute=ComputeSpec(name="local", max_nodes=2)
    )
    # A name is a person's text: it must not become part of the page.
    spec = asked.spec.model_copy(
        update={"arguments": {"--learning-rate": "0.02", "--note": "<b onclick='x'>1 & 2</b>"}}
    )
    other = asked.model_copy(update={"spec": spec, "name": "<script>alert(1)</script>"})
    for run in (asked.model_copy(update={"name": "mnist-mlp"}), other):
        submission.follow(submission.submit(made, run, source, {}).directory)
    space = {"--learning-rate": {"kind": "log_uniform", "low": 1e-4, "high": 1e-1}}
    search = Search.model_validate({"space": {"parameters": space}, "metric": "accuracy", "max_trials": 6})
    bare = asked.model_copy(update={"spec": asked.spec.model_copy(update={"arguments": {}})})
    sweep.follow(sweep.submit(made, SweepRequest(name="tune", search=search, run=bare, source=str(source)), {}))
    return made


@pytest.fixture(scope="module")
def executed(workspace):
    """The notebook after it has run."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(cell.replace("{folder!r}", repr(str(workspace.root)))) for cell in CELLS]
    client = NotebookClient(made, timeout=120, kernel_name="python3", resources={"metadata": {"path": workspace.root}})
    return client.execute()


def shown(executed, cell, kind):
    return executed.cells[cell].outputs[0]["data"][kind]


def test_a_notebook_computes_with_runs_and_sweeps(executed, workspace):
    values = shown(executed, 3, "text/plain")
    assert "(1, 0." in values
    assert "'epoch 12'" in values
    assert "{'--learning-rate': '0.01'}" in values
    said = shown(executed, 4, "text/plain")
    assert "<run mnist-mlp (" in said
    assert "completed>" in said
    assert (workspace.root / "outputs" / "model.txt").read_text() == "weights"


def test_what_people_wrote_is_escaped(executed):
    everything = shown(executed, 0, "text/html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in everything
    assert "<script" not in everything
    assert "&lt;b onclick=&#x27;x&#x27;&gt;1 &amp; 2&lt;/b&gt;" in everything


@pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is on PATH")
def test_a_browser_shows_tables_curves_and_the_importance_plot(executed, tmp_path):
    page_file = tmp_path / "notebook.html"
    page_file.write_text(HTMLExporter().from_notebook_node(executed)[0])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1000, "height": 1250})
            alarms: list[str] = []
            page.on("dialog", lambda dialog: alarms.append(dialog.message))
            # Nothing is fetched from elsewhere for our part of the page; the exporter's own scripts may not come.
            page.route("http*://**", lambda route: route.abort())
            page.goto(page_file.as_uri())
            tables = page.locator(".trainstack")
            expect(tables).to_have_count(3)
            expect(tables.nth(0)).to_contain_text("<script>alert(1)</script>")
            expect(tables.nth(1).locator("svg polyline")).to_have_count(2)
            expect(tables.nth(2)).to_contain_text("6/6 best ")
            assert tables.nth(2).locator("img").evaluate("image => image.naturalWidth") > 100
            assert alarms == []
            Path(tmp_path / "notebook.png").write_bytes(page.screenshot())
        finally:
            browser.close()
