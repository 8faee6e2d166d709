"""The page to try a model on, in a real browser."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.conftest import SAVE_ZOO
from tests.server.served import Served

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is on PATH"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with sync_playwright() as playwright:
        # Root's browser has no sandbox of its own; it sees nothing but our page.
        found = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found.new_page()
        found.close()


@pytest.fixture(scope="module")
def picture(serving_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of pictures of 8 by 8, which says how light each row is."""
    folder = tmp_path_factory.mktemp("picture") / "model"
    subprocess.run([serving_python, SAVE_ZOO, folder, "serving_default", "--picture"], check=True, capture_output=True)
    return folder


def test_what_is_drawn_is_predicted_at_once_and_shown_as_bars(browser: Page, serving_python, picture, tmp_path):
    server = Served(serving_python, picture, tmp_path / "log.txt").ready()
    try:
        browser.goto(f"http://127.0.0.1:{server.port}/")
        expect(browser.locator("h1")).to_have_text("zoo, version 3")
        canvas = browser.locator("canvas")
        box = canvas.bounding_box()
        assert box is not None
        # A line through the fourth of eight rows.
        height = box["y"] + box["height"] * 3.5 / 8
        browser.mouse.move(box["x"] + 5, height)
        browser.mouse.down()
        browser.mouse.move(box["x"] + box["width"] - 5, height, steps=8)
        browser.mouse.up()
        expect(browser.locator(".bar")).to_have_count(8)
        expect(browser.locator(".bar.best span").first).to_have_text("3")
        expect(browser.locator("#took")).to_contain_text("200")
        browser.locator("#clear").click()
        browser.locator("#send").click()
        expect(browser.locator("#answer")).to_contain_text("[[0.0,0.0,0.0,0.0")
    finally:
        server.end()


def test_a_service_with_a_key_asks_for_it(browser: Page, serving_python, picture, tmp_path):
    digest = hashlib.sha256(b"open-sesame-4711").hexdigest()
    server = Served(serving_python, picture, tmp_path / "log.txt", f"--key-digest={digest}").ready()
    try:
        browser.goto(f"http://127.0.0.1:{server.port}/")
        expect(browser.locator("#locked")).to_be_visible()
        browser.locator("#key").fill("open-sesame-4711")
        browser.locator("#unlock").click()
        expect(browser.locator("#locked")).to_be_hidden()
        expect(browser.locator("canvas")).to_be_visible()
    finally:
        server.end()


@pytest.mark.parametrize("keyed", [False, True])
def test_the_scoring_address_opened_in_a_browser_is_the_page(browser, serving_python, picture, tmp_path, keyed):
    digest = hashlib.sha256(b"open-sesame-4711").hexdigest()
    options = [f"--key-digest={digest}"] if keyed else []
    server = Served(serving_python, picture, tmp_path / "log.txt", *options).ready()
    address = f"http://127.0.0.1:{server.port}/v1/models/zoo:predict"
    try:
        browser.goto(address)
        expect(browser.locator("h1")).to_have_text("zoo, version 3")
        # A program that asks the same way is told what it did wrong.
        assert httpx.get(address).status_code == (401 if keyed else 405)
    finally:
        server.end()


def test_the_request_can_be_saved_as_a_file(browser: Page, serving_python, picture, tmp_path):
    server = Served(serving_python, picture, tmp_path / "log.txt").ready()
    try:
        browser.goto(f"http://127.0.0.1:{server.port}/")
        expect(browser.locator("canvas")).to_be_visible()
        with browser.expect_download() as download:
            browser.locator("#save").click()
        assert download.value.suggested_filename == "request.json"
        request = json.loads(Path(download.value.path()).read_text())
        assert len(request["instances"][0]) == 8
    finally:
        server.end()
