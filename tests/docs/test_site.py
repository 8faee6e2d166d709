"""The documentation's site builds without a warning, and what it says of messages and rows is so."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from tests.end_to_end.project import REPOSITORY

DOCS = REPOSITORY / "docs"
SOURCES = "\n".join(path.read_text() for path in sorted((REPOSITORY / "components").rglob("*.py")))
OF_PULUMI = {"passphrase must be set", "the stack is currently locked"}


class Addresses(HTMLParser):
    """What a page fetches from elsewhere, by itself."""

    def __init__(self):
        super().__init__()
        self.fetched = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        address = given.get("src") if tag in ("script", "img", "iframe") else None
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon"):
            address = given.get("href")
        if address and address.startswith(("http", "//")):
            self.fetched.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=REPOSITORY, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("compute", ["idle_seconds_before_scaledown", "Seconds until an idle node goes"]),
        ("training_run", ["max_attempts", "process_count_per_node", "Adopt"]),
        ("model", ["promote", "memory_in_gb"]),
        ("workspace", ["quota_gib", "from_config", "Registry"]),
        ("dataset", ["as_download", "sha256"]),
        ("environment", ["curated_name", "save_to_directory"]),
        ("web_service", ["key_rotation", "traffic"]),
    ],
)
def test_a_components_page_tells_its_arguments(site, page, words):
    text = (site / "components" / page / "index.html").read_text()
    assert [word for word in words if word not in text] == []


def test_no_page_fetches_anything_from_elsewhere(site):
    found = {}
    for page in site.rglob("*.html"):
        parser = Addresses()
        parser.feed(page.read_text())
        if parser.fetched:
            found[str(page)] = parser.fetched
    assert found == {}


def headings(page):
    return re.findall(r"^### (.*)$", (DOCS / page).read_text(), re.MULTILINE)


@pytest.mark.parametrize("heading", headings("troubleshooting.md"))
def test_a_message_in_the_troubleshooting_is_one_of_ours(heading):
    # Code spans, with what differs between them; a span may hold backticks of its own.
    for fragment in heading.split("` … `"):
        words = fragment.strip().removeprefix("`").removesuffix("`")
        assert words in OF_PULUMI or words in SOURCES, words


@pytest.mark.parametrize("page", ["azureml-v1.md", "azureml-v2.md"])
def test_each_row_of_the_migration_has_its_program(page):
    text = (DOCS / "migration" / page).read_text()
    rows = re.findall(r"^\| \[.*\]\(#([^)]+)\) \|", text, re.MULTILINE)
    sections = dict(re.findall(r"^## (.+)\n\n[^\n]+\n\n```(python|console)$", text, re.MULTILINE))
    assert len(rows) == len(sections) >= 20
    assert rows == [re.sub(r"[^a-z0-9]+", "-", name.lower().replace("'", "")).strip("-") for name in sections]
