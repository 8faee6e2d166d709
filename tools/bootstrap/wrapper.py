"""`.venv/bin/pulumi`: the engine, started so that plain `pulumi` commands need no settings."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from .files import write

_MARK = "# trainstack-pulumi-wrapper"


def is_wrapper(file: Path) -> bool:
    """Whether a file is a wrapper that this set-up, or another checkout's, made."""
    try:
        with file.open("rb") as opened:
            return _MARK.encode() in opened.read(100)
    except OSError:
        return False


def text(venv_bin: Path, engine: Path, *, downloads: bool) -> str:
    """The wrapper's text.

    Args:
        venv_bin: The environment's folder of programs; the language host takes its `python3` from it.
        engine: The engine's folder; its language host must be found before any other.
        downloads: Whether Pulumi's plugin downloads can be expected to work.
    """
    lines = [
        "#!/bin/sh",
        f"{_MARK}: written by `make setup`, changes are lost",
        "",
        "# State in a folder is encrypted with a passphrase. The example stacks hold no secrets and use the empty one.",
        'if [ -z "${PULUMI_CONFIG_PASSPHRASE+set}${PULUMI_CONFIG_PASSPHRASE_FILE+set}" ]; then',
        '  export PULUMI_CONFIG_PASSPHRASE=""',
        "fi",
        "# The engine is pinned, so a newer one is no news.",
        'export PULUMI_SKIP_UPDATE_CHECK="${PULUMI_SKIP_UPDATE_CHECK:-true}"',
    ]
    if not downloads:
        lines += [
            "# Pulumi's downloads were out of reach when this engine was made, so it does not try, each time and in",
            "# vain, to fetch the plugins of installed packages. Set it to false where they are in reach.",
            'export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="${PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION:-true}"',
        ]
    folders = shlex.quote(f"{venv_bin}{os.pathsep}{engine}")
    lines += [f'export PATH={folders}"${{PATH:+:$PATH}}"', f'exec {shlex.quote(str(engine / "pulumi"))} "$@"', ""]
    return "\n".join(lines)


class Wrapper:
    """The wrapper in a checkout's `.venv`."""

    def __init__(self, root: Path) -> None:
        self.file = root / ".venv/bin/pulumi"

    def is_done(self, engine: Path, *, downloads: bool) -> bool:
        """Whether it is there and starts this engine."""
        wanted = text(self.file.parent, engine, downloads=downloads)
        return self.file.is_file() and self.file.read_text() == wanted and os.access(self.file, os.X_OK)

    def make(self, engine: Path, *, downloads: bool) -> None:
        """Write it."""
        write(self.file, text(self.file.parent, engine, downloads=downloads), mode=0o755)
