"""The engine by Pulumi's own installer, through the Automation API of its Python SDK."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from .report import SetupError, run

INSTALLER = "https://get.pulumi.com/install.sh"
ANSWER_SECONDS = 5
INSTALL_SECONDS = 600

_INSTALL = """
import sys
from semver import VersionInfo
from pulumi.automation import PulumiCommand
PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
"""


def install(python: Path, folder: Path, version: str, log: Path) -> None:
    """Install the CLI and its language hosts into `folder`/bin.

    Args:
        python: The environment's Python, which has the SDK.
        folder: An empty folder.
        version: The CLI's version.
        log: Where the installer's output goes.

    Raises:
        SetupError: The vendor's servers do not answer within seconds, or the installer fails.
    """
    try:
        # Asked first: the installer has no time limit of its own, and behind some firewalls nothing ever answers.
        urllib.request.urlopen(INSTALLER, timeout=ANSWER_SECONDS).close()
    except (OSError, urllib.error.URLError) as exc:
        raise SetupError("Pulumi's installer (get.pulumi.com) is out of reach") from exc
    env = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = [python, "-c", _INSTALL, folder, version]
    run(command, log, env=env, timeout=INSTALL_SECONDS, failure="Pulumi's installer failed")
    if sys.platform != "win32" and not (folder / "bin/pulumi-language-python").exists():
        raise SetupError(f"Pulumi's installer left no Python language host in {folder}/bin")
