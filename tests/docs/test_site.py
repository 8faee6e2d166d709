"""The documentation's site builds without a warning, and what it says of messages and rows is so."""

import dataclasses
import re
import tomllib
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import typer
from tests.docs.build_site import build_site
from tests.end_to_end.project import REPOSITORY

import trainstack as ts
from trainstack.cli.app import app
from trainstack.core.runs.record import Status

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
    return build_site(tmp_path_factory.mktemp("site"))


def public():
    return {name: getattr(ts, name) for name in ts.__all__ if name != "TrainstackError"}


def test_every_public_name_has_its_place_on_a_components_page():
    pages = "\n".join(path.read_text() for path in sorted((DOCS / "components").glob("*.md")))
    told = set(re.findall(r"^::: (trainstack\.(?:components|notebook)(?:\.\w+)+)$", pages, re.MULTILINE))
    handles = {f"trainstack.notebook.history.{name}" for name in ("Run", "Runs", "Sweep")}
    assert {f"{thing.__module__}.{thing.__name__}" for thing in public().values()} | handles == told


@pytest.mark.parametrize("args", [thing for thing in public().values() if dataclasses.is_dataclass(thing)])
def test_a_components_page_tells_every_argument(site, args):
    module = args.__module__.removeprefix("trainstack.components.")
    pages = {
        "distribution": "training_run",
        "kubernetes.args": "compute",
        "kubernetes.queue": "compute",
        "node": "compute",
        "kubernetes.tracking_args": "workspace",
    }
    page = pages.get(module, module)
    text = (site / "components" / page / "index.html").read_text()
    # The docstring's table describes each under its full name; what it shares with others is told of its base.
    named = [f"trainstack.components.{module}.{kind.__name__}" for kind in args.__mro__[:-1]]
    fields = {field.name for field in dataclasses.fields(args)}
    told = {name for name in fields if any(f'title="{whole}.{name}"' in text for whole in named)}
    assert fields - told == set()


def test_a_table_of_arguments_shows_type_and_default(site):
    text = (site / "components" / "compute" / "index.html").read_text()
    row = text[text.index('title="trainstack.components.compute.ComputeArgs.max_nodes"') :].partition("</tr>")[0]
    cells = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
    assert [re.sub(r"<[^>]+>|\s", "", cell) for cell in cells[:2]] == ["Input[int]", "1"]


def leaves(command, path=()):
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), [sorted(option.opts) for option in command.params if option.opts[0].startswith("-")]
        return
    for name, entry in below.items():
        yield from leaves(entry, (*path, name))


@pytest.mark.parametrize(
    ("name", "options"), list(leaves(typer.main.get_command(app))), ids=lambda value: str(value)[:30]
)
def test_the_command_lines_page_tells_every_command_and_option(name, options):
    text = (DOCS / "cli.md").read_text()
    rows = [line for line in text.splitlines() if re.search(rf"`{name}(?= |`)", line)]
    assert rows
    said = " ".join(rows)
    # What all commands have is told once.
    assert [
        forms
        for forms in options
        if not any(re.search(rf"[\[ `]{form}\b", said) or f"`{form}" in text for form in forms)
    ] == []


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


def drawn(name):
    return ElementTree.parse(DOCS / "pictures" / f"{name}.svg").getroot()


def words(picture):
    return [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]


def test_the_states_that_are_drawn_are_those_of_a_run():
    assert {status.value for status in Status} <= {(text or "").strip() for text in words(drawn("run-states"))}


def test_the_layers_that_are_drawn_are_those_that_are_held():
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {name.strip().removeprefix("trainstack.") for row in contracts[0]["layers"] for name in row.split("|")}
    # Modules that anybody may import are in no layer of the picture.
    assert layers - {"errors", "abbreviation", "process_environment"} <= {
        (text or "").strip() for text in words(drawn("layers"))
    }


def test_the_pictures_are_drawn_from_their_sources():
    for source in sorted((DOCS / "pictures").glob("*.dot")):
        labels = re.findall(r'label="([^"]*)"', source.read_text())
        shown = " ".join(text or "" for text in words(drawn(source.stem)))
        said = [part.strip() for label in labels for part in label.split("\\n")]
        assert [line for line in said if line not in shown] == [], source.name
