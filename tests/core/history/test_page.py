"""MLflow's own page, of our server, in a real browser."""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.core.history.conftest import values

from trainstack.core.runs.execution import submission
from trainstack.core.tracking import tracking_server

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is on PATH")


def test_the_page_shows_a_run_its_metrics_and_its_files(workspace, server, request_for, source, shown, tmp_path):
    request = request_for({"--steps": 20, "--pause": 0.05}, system_metrics=0.3).model_copy(update={"name": "mnist-mlp"})
    run = submission.submit(workspace, request, source, {}).directory
    submission.follow(run)
    [there] = shown("trainstack.run_id", run.id, lambda run: run["info"]["status"] == "FINISHED")
    assert "accuracy" in values(there, "metrics")
    address = f"{server.uri}/#/experiments/{there['info']['experiment_id']}/runs/{there['info']['run_id']}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            # The page must do with what our server has: nothing is fetched from elsewhere.
            page.route(lambda url: not url.startswith(server.uri), lambda route: route.abort())
            page.set_default_timeout(60_000)
            page.goto(tracking_server.link(workspace))
            page.goto(address)
            # As text, because the page's elements change from one version to the next.
            for text in ("mnist-mlp", "Finished", "accuracy", "units", "--steps".lstrip("-")):
                expect(page.get_by_text(text, exact=True).first).to_be_visible(timeout=60_000)
            page.goto(f"{address}/model-metrics")
            expect(page.get_by_text("accuracy").first).to_be_visible(timeout=60_000)
            expect(page.locator("svg.main-svg").first).to_be_visible(timeout=60_000)
            page.screenshot(path=tmp_path / "metrics.png")
            page.goto(f"{address}/system-metrics")
            expect(page.get_by_text("cpu_utilization_percentage").first).to_be_visible(timeout=60_000)
            page.wait_for_timeout(1000)
            page.screenshot(path=tmp_path / "system.png")
            page.goto(f"{address}/artifacts")
            expect(page.get_by_text("outputs").first).to_be_visible(timeout=60_000)
            expect(page.get_by_text("logs").first).to_be_visible()
        finally:
            browser.close()
