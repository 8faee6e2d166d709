"""Each command of the migration guides runs, on a project that has trained and serves."""

import json
import re
import subprocess
import sys

import pytest
from tests.end_to_end.project import REPOSITORY, Project
from tests.waiting import until

from trainstack.core.runs.index import newest
from trainstack.core.runs.record import Status
from trainstack.core.workspace.workspace import Workspace

pytestmark = [pytest.mark.end_to_end, pytest.mark.tensorflow]

PAGES = sorted((REPOSITORY / "docs" / "migration").glob("*.md"))
# What an update makes, everything else looks at; what takes things away comes last.
STOP = "trainstack runs stop fit"
LAST = (STOP, "pulumi destroy --yes", "trainstack purge --model net:1")
SAYS = {
    "trainstack runs list": "completed",
    "trainstack runs show fit": "loss",
    "trainstack runs logs -f fit": "Epoch",
    "trainstack datasets list": "points",
    "trainstack models list": "net",
    "trainstack services list": "guarded",
    "trainstack computes list": "local",
    "trainstack environments list": "tensorflow-2.15",
    "pulumi preview": "will retrain: --epochs 20 → 30",
}


def commands():
    commands_found = []
    for page in PAGES:
        text = page.read_text()
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
            commands_found += [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        for row in re.findall(r"^\|.*\| (.*) \|$", text, re.MULTILINE):
            commands_found += re.findall(r"`((?:pulumi|trainstack|curl) [^`]+)`", row)
    # Nobody is there to say yes.
    commands_found = ["pulumi up --yes" if command == "pulumi up" else command for command in commands_found]
    return [command for command in dict.fromkeys(commands_found) if command not in LAST] + [
        command for command in LAST if command in commands_found
    ]


def first(command):
    order = ("pulumi up", "pulumi config", "pulumi preview")
    return next((index for index, start in enumerate(order) if command.startswith(start)), len(order))


def train_long(project):
    """A run that trains until it is stopped."""
    project.pulumi("config", "set", "epochs", "1000000")
    up = project.start_up(project.root / "up.txt")
    workspace = Workspace.open(project.root / ".trainstack" / "shop-dev")
    until(lambda: any(record.status is Status.RUNNING for record in newest(workspace)))
    return up


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("migration") / "shop"
    subprocess.run([sys.executable, "-m", "trainstack.cli", "init", root], check=True, capture_output=True)
    program = root / "__main__.py"
    guarded = 'guarded = ts.WebService("guarded", ts.WebServiceArgs(model=model, key_rotation="1"))\n'
    text = program.read_text().replace('"line"', '"net"') + f"\n{guarded}pulumi.export('key', guarded.key)\n"
    program.write_text(text)
    (root / "request.json").write_text(json.dumps({"instances": [[0.5]]}))
    state = root.parent / "state"
    state.mkdir()
    project = Project(root, {"PULUMI_BACKEND_URL": f"file://{state}", "no_proxy": "127.0.0.1"})
    project.pulumi("stack", "init", "dev")
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview", expect=None)


@pytest.mark.long
def test_every_command_of_the_guides_runs(shop):
    every = sorted(commands(), key=first)
    assert every[0] == "pulumi up --yes"
    assert len(every) >= 18
    assert SAYS.keys() <= set(every)
    up = None
    for command in every:
        if command == STOP:
            up = train_long(shop)
        done = subprocess.run(
            ["bash", "-c", command], cwd=shop.root, env=shop.environment(), input="y\n",
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {printed}"
        assert SAYS.get(command, "") in printed, f"{command}: {printed}"
        if command.startswith("curl"):
            assert "predictions" in json.loads(done.stdout), printed
        if command == STOP:
            assert up is not None
            assert up.wait(60) != 0
        if command.endswith("--show-secrets"):
            assert len(done.stdout.strip()) >= 20
    assert (shop.root / "fit").is_dir()
    assert not (shop.root / ".trainstack" / "shop-dev" / "models" / "net" / "1" / "files").exists()
