"""A reader's questions, typed into the site's search in a real browser: the answer is among the first hits."""

import functools
import http.server
import shutil
import threading
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright
from tests.docs.build_site import build_site

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is on PATH")

FIRST_HITS = 3
QUESTIONS = {
    "tune hyperparameters": "sweeps",
    "authentication key of a service": "serving",
    "garbage collection of old data": "store",
    "early stopping": "sweeps",
    "canary release": "serving",
    "model registry": "models",
    "experiment tracking": "history",
    "uninstall": "installation",
    "train on my csv": "tutorial",
    "requirements.txt": "environments",
    "train on a GPU": "installation",
    "what would retrain": "changes",
}
# Any page will do that is about the word; that there is none was what a reader met.
WORDS = [
    "hyperparameter", "authentication", "garbage collection", "early stopping", "canary", "model registry",
    "experiment tracking", "uninstall", "csv", "requirements.txt", "max_nodes", "WebServiceArgs", "Windows", "macOS",
]  # fmt: skip


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Types words into the search; the pages of its hits, the best first."""
    folder = build_site(tmp_path_factory.mktemp("site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.set_default_timeout(15_000)
        box, links = page.locator(".md-search__input"), page.locator(".md-search-result__item > a")
        box.click()

        def shown():
            return links.evaluate_all("links => links.map(link => link.href)")

        def hits(words):
            box.fill("")
            box.press_sequentially(words)
            before, now = None, shown()
            # The search answers as one types: what stays is the answer to the whole text.
            while before != now or page.locator(".md-search-result__meta").text_content() == "Initializing search":
                page.wait_for_timeout(200)
                before, now = now, shown()
            pages = [urlsplit(address).path.strip("/") for address in now]
            return list(dict.fromkeys(pages))

        yield hits
        browser.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_search_answers_a_readers_question(search, question):
    hits = search(question)[:FIRST_HITS]
    assert QUESTIONS[question] in hits


@pytest.mark.parametrize("word", WORDS)
def test_the_search_knows_the_word_of_the_field(search, word):
    assert search(word)
