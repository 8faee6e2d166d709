"""Record the terminal sessions that the documentation shows: `make recordings` writes docs/pictures/session-*.svg.

A new project of `trainstack init` is previewed, trained, followed and planned for real, in a folder of its own. The
pictures name no folder, user or machine of whoever records them: one that did would fail here.
"""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from recordings.drawing import draw
from recordings.frames import frames_of
from recordings.terminal import Session

REPOSITORY = Path(__file__).parents[2]
PICTURES = REPOSITORY / "docs" / "pictures"
BIN = Path(sys.executable).parent
COLUMNS, ROWS = 100, 28


def main() -> None:
    """Record all sessions, in the order in which a newcomer meets them."""
    with tempfile.TemporaryDirectory(prefix="recordings-") as home:
        root = Path(home) / "shop"
        variables = surroundings(Path(home))

        def run(*command: str) -> None:
            done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")

        subprocess.run([BIN / "trainstack", "init", root], env=variables, check=True, capture_output=True)
        record(root, variables, "up", ["pulumi up --yes"])
        run("pulumi", "config", "set", "--path", "trainstack:prices.local", "0.40")
        record(root, variables, "preview", ["pulumi config set epochs 200", "pulumi preview"])
        record(root, variables, "plan", ["trainstack plan --markdown"])
        up = subprocess.Popen(["pulumi", "up", "--yes", "--skip-preview"], cwd=root, env=variables, stdout=subprocess.PIPE)
        while up.poll() is None and not running(root, variables):
            time.sleep(0.2)
        record(root, variables, "logs", ["trainstack runs logs -f fit"])
        up.communicate()
        run("pulumi", "destroy", "--yes", "--skip-preview", "--non-interactive")


def running(root: Path, variables: dict[str, str]) -> bool:
    """Whether a run trains just now."""
    command = [BIN / "trainstack", "runs", "list", "--json"]
    found = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)
    return '"running"' in found.stdout


def surroundings(home: Path) -> dict[str, str]:
    """The environment of a user with an empty home; what this machine has built already is taken from its cache."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "TRAINSTACK_"))}
    cache = os.environ.get("TRAINSTACK_CACHE") or str(Path.home() / ".cache" / "trainstack")
    return {
        **kept,
        "HOME": str(home),
        "PATH": f"{BIN}:{kept['PATH']}",
        "TRAINSTACK_CACHE": cache,
        "PULUMI_BACKEND_URL": f"file://{home}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "LC_ALL": "C.UTF-8",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TERM": "xterm-256color",
        "HISTFILE": "/dev/null",
    }


def record(root: Path, variables: dict[str, str], name: str, commands: list[str]) -> None:
    """Type commands into a shell, and draw what the terminal showed."""
    print(f"recording {name}: {'; '.join(commands)}", flush=True)
    with Session(root, variables, COLUMNS, ROWS) as session:
        for command in commands:
            session.type(command)
    anonymous = replacing({str(root.parent): "~", variables["TRAINSTACK_CACHE"]: "~/.cache/trainstack"})
    frames = frames_of([(when, anonymous(text)) for when, text in session.output], COLUMNS, ROWS)
    picture = draw(frames, COLUMNS, title=commands[-1])
    for secret in (str(root.parent), str(Path.home()), str(REPOSITORY), socket.gethostname(), f"/{getpass.getuser()}/"):
        if secret in picture:
            sys.exit(f"{name}: the picture names {secret}")
    (PICTURES / f"session-{name}.svg").write_text(picture)


def replacing(words: dict[str, str]) -> Callable[[str], str]:
    """Give a function that replaces words in a text, the longest first."""

    def replace(text: str) -> str:
        for word in sorted(words, key=len, reverse=True):
            text = text.replace(word, words[word])
        return text

    return replace


if __name__ == "__main__":
    main()
